// The shards of the engine, and the progress of a change of their number.
import { counted, element, head, number, stateMark, table, when } from "../elements.js";

function rowOf({ shard, place, state, open, left }, isChanging) {
  return element(
    "tr",
    { "data-key": `shard-${shard}` },
    element("th", { scope: "row" }, String(shard)),
    element("td", {}, stateMark(state)),
    // A shard that does not answer has not counted its jobs.
    element("td", { class: "number" }, state === "down" ? "–" : number(open)),
    ...(isChanging ? [element("td", { class: "number" }, state === "down" ? "–" : number(left))] : []),
    element("td", { class: "mono" }, place),
  );
}

function progressOf({ count, earlier, left, shards, readAt }) {
  const down = shards.filter(({ state }) => state === "down").length;
  const change =
    earlier.length === 0
      ? counted(count, "shard")
      : left === 0
        ? `Change from ${earlier.join(" and ")} to ${counted(count, "shard")}: no job is left, and the change is about to end`
        : `Change from ${earlier.join(" and ")} to ${counted(count, "shard")}: ${number(left)} jobs and schedules of the earlier layout are left`;
  const lost =
    down === 0 ? [] : [", ", element("span", { class: "bad" }, `${number(down)} without an answer`)];
  return element("p", { class: "hint", "data-key": "change" }, change, ...lost, " (", when(readAt), ")");
}

/** Returns the text and the table of the shards. */
export function shardsTable(report) {
  const isChanging = report.earlier.length > 0;
  const heads = [
    "Shard",
    "State",
    head("Open jobs", "number"),
    ...(isChanging ? [head("Left", "number")] : []),
    "Place",
  ];
  const rows = report.shards.map((shard) => rowOf(shard, isChanging));
  return [progressOf(report), table("Shards by number", heads, rows)];
}
