// The workers with their lanes and loops, and their live tasks as trees.
import { act, place, request } from "../actions.js";
import { element, milliseconds, number, section, table } from "../elements.js";
import { readWorkers } from "../live.js";
import { showTrees } from "./tree.js";
import { WorkerCharts } from "./worker-charts.js";

function stateOf(worker) {
  if (worker.state === "dead") return ["dead: its process is gone", "bad"];
  if (worker.silentFor !== undefined) return [`silent for ${milliseconds(worker.silentFor)}`, "bad"];
  if (worker.state === "draining") return ["draining", "warn"];
  return worker.admission.isThrottled ? ["throttled: the loop is late", "warn"] : ["running", "good"];
}

export function open(root) {
  const charts = new WorkerCharts();
  root.append(
    section("workers", "Workers", element("div", { id: "workers" }), element("div", { id: "others" })),
    section(
      "tasks",
      "Running tasks",
      element(
        "p",
        { class: "hint" },
        "The live tasks, with the object and the time that each task waits for. In the tree, the arrow keys move, open and close, and Delete cancels a job.",
      ),
      element("div", { id: "tasks" }),
    ),
  );
  return {
    title: "Workers",
    close: () => charts.close(),
    async refresh() {
      const [workers, others] = await Promise.all([readWorkers(), request("/workers/others")]);
      showWorkers(workers, charts);
      showOthers(others);
      // The last jobs of a silent worker may run elsewhere by now, because the worker can be dead.
      const live = workers.filter(({ silentFor }) => silentFor === undefined);
      showTrees(place("tasks"), live, cancel);
    },
  };
}

/** The workers of programs that use the library, which store what they serve and no figures. */
function showOthers(others) {
  if (others.length === 0) return place("others").replaceChildren();
  const rows = others.map(({ id, process, queues, tasks }) =>
    element(
      "tr",
      { "data-key": id },
      element("th", { scope: "row" }, process === undefined ? id : `${process.host}, pid ${process.pid}`),
      element("td", {}, queues.join(" ")),
      element("td", { class: "detail" }, Object.keys(tasks).join(" ").slice(0, 200)),
    ),
  );
  const heads = ["Worker of another program", "Queues", "Tasks"];
  return place("others").replaceChildren(table("Workers of other programs", heads, rows));
}

function cancel({ id, queue }, button) {
  const query = new URLSearchParams({ queue, reason: "live page" });
  const path = `/jobs/${encodeURIComponent(id)}?${query}`;
  return act(button, `Cancellation of job ${id} is requested.`, path, { method: "DELETE" });
}

function showWorkers(workers, charts) {
  const list = place("workers");
  if (workers.length === 0) {
    list.replaceChildren(
      element(
        "p",
        { class: "empty" },
        "No worker of a service runs. Start one with taskloom worker ./tasks.ts",
      ),
    );
    return;
  }
  const gone = [...list.children].filter(({ dataset }) => !workers.some(({ id }) => id === dataset.key));
  for (const child of gone) {
    charts.drop(child.dataset.key);
    child.remove();
  }
  for (const worker of workers) {
    let card = [...list.children].find((child) => child.dataset.key === worker.id);
    if (card === undefined) {
      card = element("article", {
        class: "worker",
        "data-key": worker.id,
        "aria-label": `Worker ${worker.slot}`,
      });
      card.append(element("div", { class: "facts" }), element("div", { class: "chart" }));
      list.append(card);
      charts.add(worker.id, card.lastChild, worker.slot);
    }
    const { lanes, loop, memory } = worker;
    const [state, style] = stateOf(worker);
    const facts = [
      ["state", element("span", { class: style }, state)],
      ["loop lane", `${lanes.loop.running} of ${lanes.loop.limit} run, ${number(lanes.loop.finished)} done`],
      [
        "thread lane",
        `${lanes.thread.running} of ${lanes.thread.limit} run, ${number(lanes.thread.finished)} done`,
      ],
      ...(lanes.workflow === undefined
        ? []
        : [
            [
              "runs",
              `${lanes.workflow.running} of ${lanes.workflow.limit} here, ${number(lanes.workflow.finished)} done`,
            ],
          ]),
      ["loop delay", `${loop.delayP50.toFixed(1)} ms, p99 ${loop.delayP99.toFixed(1)} ms`],
      ["busy", `${Math.round(loop.utilization * 100)} %`],
      ["memory", `${Math.round(memory.rss / 1048576)} MB, heap ${Math.round(memory.heap / 1048576)} MB`],
      [
        "process",
        `${worker.pid} on ${worker.host}, Node ${worker.node}, up ${milliseconds(worker.seenAt - worker.startedAt)}`,
      ],
    ];
    card.firstChild.replaceChildren(
      element("h3", {}, worker.slot),
      element(
        "dl",
        {},
        ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
      ),
    );
    charts.push(worker.id, worker.seenAt / 1_000, loop.delayP99, loop.utilization * 100);
  }
}
