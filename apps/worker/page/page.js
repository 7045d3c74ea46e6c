// The live page polls the API every second and shows the answers. Browsers run this file without a build.
import { act, action, place, request, say } from "./actions.js";
import { Charts } from "./charts.js";
import { ago, element, milliseconds, number, replace, table, taskLabel } from "./elements.js";
import { refreshShownRun } from "./run-view.js";
import { refreshRuns } from "./runs.js";
import { showTrees } from "./tree.js";

const INTERVAL_MS = 1_000;
/** Failed jobs and runs are read in every fifth round. */
const LIST_ROUNDS = 5;

const charts = new Charts();
let rounds = 0;

/** Most queues have no durable runs, and no row for them. */
function shownLanes({ workflow }) {
  const { oldestWait: _time, ...counts } = workflow;
  const hasRuns = Object.values(counts).some((count) => count > 0);
  return hasRuns ? ["loop", "thread", "workflow"] : ["loop", "thread"];
}

function showQueues(queues) {
  const rows = Object.entries(queues).flatMap(([name, view]) =>
    shownLanes(view).map((lane) => {
      const counts = view[lane];
      const pause =
        lane === "loop"
          ? action(
              view.isPaused ? "Resume" : "Pause",
              `${view.isPaused ? "Resume" : "Pause"} queue ${name}`,
              (button) =>
                act(
                  button,
                  view.isPaused ? `Queue ${name} is open.` : `Queue ${name} is paused.`,
                  `/queues/${encodeURIComponent(name)}`,
                  {
                    method: "PUT",
                    headers: { "content-type": "application/json" },
                    body: JSON.stringify({ paused: !view.isPaused }),
                  },
                ),
            )
          : "";
      return element(
        "tr",
        { "data-key": `${name}.${lane}` },
        element("th", { scope: "row" }, `${name}.${lane}`),
        ...["waiting", "delayed", "active", "completed", "cancelled", "failed"].map((state) =>
          element(
            "td",
            { class: state === "failed" && counts.failed > 0 ? "number bad" : "number" },
            number(counts[state]),
          ),
        ),
        element("td", { class: "number" }, counts.oldestWait === 0 ? "–" : milliseconds(counts.oldestWait)),
        element(
          "td",
          {},
          element("span", { class: view.isPaused ? "warn" : "" }, view.isPaused ? "paused " : "open "),
          pause,
        ),
      );
    }),
  );
  replace(place("queues"), rows);
}

function stateOf(worker) {
  if (worker.state === "dead") return ["dead: its process is gone", "bad"];
  if (worker.silentFor !== undefined) return [`silent for ${milliseconds(worker.silentFor)}`, "bad"];
  if (worker.state === "draining") return ["draining", "warn"];
  return worker.admission.isThrottled ? ["throttled: the loop is late", "warn"] : ["running", "good"];
}

/** Returns the numbers of live and of dead workers, as text. */
function statusOf(workers) {
  const dead = workers.filter(({ state }) => state === "dead").length;
  const live = workers.length - dead;
  return `${live} live worker${live === 1 ? "" : "s"}${dead === 0 ? "" : `, ${dead} dead`}`;
}

function showWorkers(workers) {
  const list = place("workers");
  if (workers.length === 0) {
    list.replaceChildren(
      element("p", { class: "empty" }, "No worker runs. Start one with taskloom worker ./tasks.ts"),
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

/** Retries the jobs of one group, page after page, and returns their number. */
async function retryGroup(task, { name, message }) {
  let retried = 0;
  for (let cursor; ;) {
    const page = await request("/failed/retry", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ task, error: { name, message }, cursor }),
    });
    retried += page.retried.length;
    cursor = page.next;
    if (cursor === undefined) return retried;
  }
}

function showFailed({ groups, searched, next }) {
  const list = place("failed");
  if (groups.length === 0) {
    replace(list, [element("p", { class: "empty", "data-key": "none" }, "No job has failed.")]);
    return;
  }
  const rows = groups.map(({ key, task, error, count, lastAt }) =>
    element(
      "tr",
      { "data-key": key },
      element("td", { class: "number" }, number(count)),
      element("th", { scope: "row" }, task),
      element("td", {}, element("span", { class: "bad" }, error.name), ` ${error.message}`),
      element("td", {}, ago(lastAt)),
      element(
        "td",
        {},
        action("Retry", `Retry ${count} of ${task}`, async (button) => {
          button.disabled = true;
          try {
            say(`${await retryGroup(task, error)} jobs of ${task} are retried.`);
          } catch (problem) {
            say(`The request failed: ${problem.message}`);
          }
          button.disabled = false;
          await refreshFailed();
        }),
      ),
    ),
  );
  const jobs = element("th", { scope: "col", class: "number" }, "Jobs");
  const note = element(
    "p",
    { class: "soft", "data-key": "note" },
    `These are the newest ${number(searched)} failed jobs. `,
  );
  const showMore = () => {
    failedPages++;
    refreshFailed().catch(() => {}); // The next round shows the error.
  };
  note.append(action("Show more", "Show more failed jobs", showMore));
  const failed = table("Failed jobs by error", [jobs, "Task", "Error", "Last", "Action"], rows);
  replace(list, next === undefined ? [failed] : [failed, note]);
}

/** The pages of failed jobs to show: the service bounds the bytes of each. */
let failedPages = 1;

async function refreshFailed() {
  const groups = new Map();
  let searched = 0;
  let next;
  for (let pages = 0; pages === 0 || (pages < failedPages && next !== undefined); pages++) {
    const page = await request(next === undefined ? "/failed" : `/failed?cursor=${encodeURIComponent(next)}`);
    for (const group of page.groups) {
      const before = groups.get(group.key);
      groups.set(group.key, before === undefined ? group : { ...before, count: before.count + group.count });
    }
    searched += page.searched;
    next = page.next;
  }
  showFailed({ groups: [...groups.values()], searched, next });
}

/** While a pointer is down, no element is replaced: a click needs the element on which it began. */
let isPressed = false;
addEventListener("pointerdown", () => (isPressed = true));
for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => (isPressed = false));

async function refresh() {
  if (isPressed) return void setTimeout(refresh, 100);
  try {
    const [queues, workers] = await Promise.all([request("/queues"), request("/workers")]);
    showQueues(queues);
    showWorkers(workers);
    // The last jobs of a silent worker may run elsewhere by now, because the worker can be dead.
    const live = workers.filter(({ silentFor }) => silentFor === undefined);
    showTrees(place("tasks"), live, (job, button) =>
      act(
        button,
        `Cancellation of job ${job.id} is requested.`,
        `/jobs/${encodeURIComponent(job.id)}?queue=${encodeURIComponent(job.queue)}&reason=live%20page`,
        {
          method: "DELETE",
        },
      ),
    );
    if (rounds++ % LIST_ROUNDS === 0) await Promise.all([refreshFailed(), refreshRuns()]);
    await refreshShownRun();
    place("status").classList.remove("bad");
    place("status").textContent = statusOf(workers);
  } catch (error) {
    place("status").classList.add("bad");
    place("status").textContent = `No answer: ${error.message}`;
  }
  setTimeout(refresh, document.hidden ? 5 * INTERVAL_MS : INTERVAL_MS);
}

place("search").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  void search(new FormData(submitted.target));
});

/** Shows one page of a search. The service bounds the bytes of each page. */
async function search(fields, cursor) {
  const query = new URLSearchParams([...fields].filter(([, value]) => value !== ""));
  if (cursor !== undefined) query.set("cursor", cursor);
  const found = place("found");
  try {
    const { jobs, searched, next } = await request(`/jobs?${query}`);
    const more = element("p", { class: "soft" }, `Searched ${number(searched)} jobs. `);
    more.append(action("Show more", "Show more search results", () => search(fields, next)));
    if (jobs.length === 0) {
      found.replaceChildren(
        ...(next === undefined ? [element("p", { class: "empty" }, "No jobs found.")] : [more]),
      );
      return;
    }
    found.replaceChildren(
      next === undefined ? element("p", { class: "soft" }, `${jobs.length} found`) : more,
      table(
        "Jobs found",
        ["Job", "Task", "State", "Arguments", "Submitted"],
        jobs.map((job) =>
          element(
            "tr",
            {},
            element(
              "th",
              { scope: "row", class: "mono" },
              element(
                "a",
                {
                  href: `board/queue/${encodeURIComponent(`${job.queue}.${job.lane}`)}/${encodeURIComponent(job.id.replace(/^(loop|thread|workflow)\.(?=repeat:)/, ""))}`,
                },
                job.id,
              ),
            ),
            element("td", {}, taskLabel(job)),
            element(
              "td",
              { class: { failed: "bad", completed: "good", cancelled: "warn" }[job.state] ?? "" },
              job.state,
            ),
            element("td", { class: "mono" }, argumentText(job)),
            element("td", {}, ago(job.submittedAt)),
          ),
        ),
      ),
    );
  } catch (error) {
    found.replaceChildren(element("p", { class: "bad" }, error.message));
  }
}

/** Returns the arguments of a job, or the reason why they are not shown. */
function argumentText({ args, omitted, unreadable }) {
  if (unreadable !== undefined) return `unreadable: ${unreadable}`;
  if (omitted?.data !== undefined) return `${number(omitted.data)} bytes`;
  return JSON.stringify(args).slice(0, 120);
}

/** Shows the links that lead somewhere: a page inside another app has no bull-board and no metrics. */
async function showParts() {
  const about = await request("/about");
  for (const link of document.querySelectorAll("[data-part]")) link.hidden = !about[link.dataset.part];
}

showParts().catch(() => {}); // The status line shows an engine or a service that does not answer.
void refresh();
