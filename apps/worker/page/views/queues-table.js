// The queues by lane, with links to their jobs and the buttons that pause them.
import { act, action, canOperate, withBody } from "../actions.js";
import { element, head, milliseconds, number, table } from "../elements.js";
import { linkTo } from "../links.js";

const STATES = ["waiting", "delayed", "active", "completed", "cancelled", "failed"];

/** Most queues have no durable runs, and no row for them. */
function shownLanes({ workflow }) {
  const { oldestWait: _time, ...counts } = workflow;
  const hasRuns = Object.values(counts).some((count) => count > 0);
  return hasRuns ? ["loop", "thread", "workflow"] : ["loop", "thread"];
}

function pauseButton(name, { isPaused }) {
  const label = isPaused ? "Resume" : "Pause";
  return action(label, `${label} queue ${name}`, (button) =>
    act(
      button,
      isPaused ? `Queue ${name} is open.` : `Queue ${name} is paused.`,
      `/queues/${encodeURIComponent(name)}`,
      withBody("PUT", { paused: !isPaused }),
    ),
  );
}

function rowOf(name, lane, view) {
  const counts = view[lane];
  const cell = (state) => {
    const count = counts[state];
    const style = state === "failed" && count > 0 ? "number bad" : "number";
    if (count === 0) return element("td", { class: "number soft" }, "0");
    const link = linkTo("jobs", { queue: name, lane, state });
    const label = `${number(count)} ${state} jobs of ${name}.${lane}`;
    return element("td", { class: style }, element("a", { href: link, "aria-label": label }, number(count)));
  };
  return element(
    "tr",
    { "data-key": `${name}.${lane}` },
    element("th", { scope: "row" }, name, element("span", { class: "soft" }, `.${lane}`)),
    ...STATES.map(cell),
    element("td", { class: "number" }, counts.oldestWait === 0 ? "–" : milliseconds(counts.oldestWait)),
    element(
      "td",
      { class: "actions" },
      view.isPaused ? element("span", { class: "warn" }, "paused ") : "",
      lane === "loop" && canOperate() ? pauseButton(name, view) : "",
    ),
  );
}

export function queuesTable(queues) {
  const rows = Object.entries(queues).flatMap(([name, view]) =>
    shownLanes(view).map((lane) => rowOf(name, lane, view)),
  );
  const titles = STATES.map((state) => head(`${state[0].toUpperCase()}${state.slice(1)}`, "number"));
  return table("Queues by lane", ["Queue", ...titles, head("Oldest wait", "number"), "State"], rows);
}
