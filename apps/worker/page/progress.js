// The progress that a task reports can be any value. The forms that have a share of the whole are those of the command
// line (src/cli/job-progress.ts).
import { element, number } from "./elements.js";

const DONE_NAMES = ["done", "current", "completed", "processed", "loaded", "value", "step"];
const TOTAL_NAMES = ["total", "to", "of", "max", "count", "steps"];
const PERCENT_NAMES = ["percent", "percentage"];

const shareOf = (value) => {
  const share = Math.min(1, Math.max(0, value));
  return { share, text: `${Math.round(share * 100)} %` };
};

/** Returns the share from 0 to 1, if the value has one, and the text of a progress value. */
export function readProgress(value) {
  if (typeof value === "number") return shareOf(value <= 1 ? value : value / 100);
  if (typeof value === "string") return { text: value };
  if (typeof value === "object" && value !== null) {
    const named = (names) => names.map((name) => value[name]).find((each) => typeof each === "number");
    const [done, total, percent] = [named(DONE_NAMES), named(TOTAL_NAMES), named(PERCENT_NAMES)];
    if (done !== undefined && total > 0)
      return { ...shareOf(done / total), text: `${number(done)} of ${number(total)}` };
    if (percent !== undefined) return shareOf(percent / 100);
  }
  return { text: JSON.stringify(value).slice(0, 120) };
}

/** Returns a bar with its text, or the text alone if the value is no share. */
export function progressBar(value, label) {
  const { share, text } = readProgress(value);
  if (share === undefined) return element("span", { class: "mono" }, text);
  const bar = element("progress", {
    max: "1",
    value: share.toFixed(3),
    "aria-label": `Progress of ${label}`,
  });
  return element("span", { class: "progress" }, bar, element("span", {}, text));
}
