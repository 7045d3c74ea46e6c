// The live page: asks the API every second and shows what it says. No build step: browsers run this file as it is.
import { Charts } from "./charts.js";
import { ago, element, milliseconds, number, replace, table, taskLabel } from "./elements.js";
import { showTrees } from "./tree.js";

const interval = 1_000;
const failedInterval = 5;

const place = (id) => document.getElementById(id);
const charts = new Charts();
let rounds = 0;

/** Asks the API; throws with its own message. */
async function ask(path, options = {}) {
  const response = await fetch(path, options);
  const text = await response.text();
  const answer = text === "" ? undefined : JSON.parse(text);
  if (!response.ok) throw new Error(answer?.message ?? `status ${response.status}`);
  return answer;
}

/** Does something that a button asked for, says how it went, and keeps the button from being pressed twice. */
async function act(button, done, path, options) {
  button.disabled = true;
  try {
    await ask(path, options);
    say(done);
  } catch (error) {
    say(`That failed: ${error.message}`);
  }
  button.disabled = false;
}

function say(text) {
  place("said").textContent = text;
  place("status").textContent = text;
}

function action(label, name, onClick) {
  const button = element("button", { type: "button", "aria-label": name }, label);
  button.addEventListener("click", () => onClick(button));
  return button;
}

function showQueues(queues) {
  const rows = Object.entries(queues).flatMap(([name, view]) =>
    ["loop", "thread"].map((lane) => {
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

/** How many workers live, and how many do not. */
function statusOf(workers) {
  const dead = workers.filter(({ state }) => state === "dead").length;
  const live = workers.length - dead;
  return `${live} live worker${live === 1 ? "" : "s"}${dead === 0 ? "" : `, ${dead} dead`}`;
}

function showWorkers(workers) {
  const list = place("workers");
  if (workers.length === 0) {
    list.replaceChildren(
      element("p", { class: "empty" }, "No worker runs. Start one: taskloom worker ./tasks.ts"),
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

/** Retries the jobs of one group, page after page; returns how many. */
async function retryGroup(task, { name, message }) {
  let retried = 0;
  for (let cursor; ;) {
    const page = await ask("/failed/retry", {
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
    replace(list, [element("p", { class: "empty", "data-key": "none" }, "Nothing has failed for good.")]);
    return;
  }
  const rows = groups.map(({ task, error, count, lastAt }) =>
    element(
      "tr",
      { "data-key": `${task} ${error.name} ${error.message}` },
      element("td", { class: "number" }, number(count)),
      element("th", { scope: "row" }, task),
      element("td", {}, element("span", { class: "bad" }, error.name), ` ${error.message}`),
      element("td", {}, ago(lastAt)),
      element(
        "td",
        {},
        action("Replay", `Replay ${count} of ${task}`, async (button) => {
          button.disabled = true;
          try {
            say(`${await retryGroup(task, error)} of ${task} put back.`);
          } catch (problem) {
            say(`That failed: ${problem.message}`);
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
    `Of the ${number(searched)} jobs submitted last that failed. `,
  );
  const further = () => {
    failedPages++;
    refreshFailed().catch(() => {}); // The next round shows what is wrong.
  };
  note.append(action("Look further", "Look further into what failed", further));
  const dead = table("Dead letters by error", [jobs, "Task", "Error", "Last", "Do"], rows);
  replace(list, next === undefined ? [dead] : [dead, note]);
}

/** So many pages of failures are shown: the service reads only so much for each. */
let failedPages = 1;

async function refreshFailed() {
  const groups = new Map();
  let searched = 0;
  let next;
  for (let pages = 0; pages === 0 || (pages < failedPages && next !== undefined); pages++) {
    const page = await ask(next === undefined ? "/failed" : `/failed?cursor=${encodeURIComponent(next)}`);
    for (const group of page.groups) {
      const key = JSON.stringify([group.task, group.error.name, group.error.message.replaceAll(/\d+/g, "#")]);
      const before = groups.get(key);
      groups.set(key, before === undefined ? group : { ...before, count: before.count + group.count });
    }
    searched += page.searched;
    next = page.next;
  }
  showFailed({ groups: [...groups.values()], searched, next });
}

/** While a pointer is down nothing is replaced: a click needs the element that it began on. */
let isPressed = false;
addEventListener("pointerdown", () => (isPressed = true));
for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => (isPressed = false));

async function refresh() {
  if (isPressed) return void setTimeout(refresh, 100);
  try {
    const [queues, workers] = await Promise.all([ask("/queues"), ask("/workers")]);
    showQueues(queues);
    showWorkers(workers);
    // What a silent worker ran last is not what runs: it may be dead, and the job at another.
    const heard = workers.filter(({ silentFor }) => silentFor === undefined);
    showTrees(place("tasks"), heard, (job, button) =>
      act(
        button,
        `Job ${job.id} was told to stop.`,
        `/jobs/${encodeURIComponent(job.id)}?queue=${encodeURIComponent(job.queue)}&reason=live%20page`,
        {
          method: "DELETE",
        },
      ),
    );
    if (rounds++ % failedInterval === 0) await refreshFailed();
    place("status").classList.remove("bad");
    place("status").textContent = statusOf(workers);
  } catch (error) {
    place("status").classList.add("bad");
    place("status").textContent = `No answer: ${error.message}`;
  }
  setTimeout(refresh, document.hidden ? 5 * interval : interval);
}

place("search").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  void search(new FormData(submitted.target));
});

/** Shows one page of the jobs that were asked for. The service reads only so much for each. */
async function search(fields, cursor) {
  const query = new URLSearchParams([...fields].filter(([, value]) => value !== ""));
  if (cursor !== undefined) query.set("cursor", cursor);
  const found = place("found");
  try {
    const { jobs, searched, next } = await ask(`/jobs?${query}`);
    const more = element("p", { class: "soft" }, `Looked at ${number(searched)} jobs. `);
    more.append(action("Look further", "Look further", () => search(fields, next)));
    if (jobs.length === 0) {
      found.replaceChildren(
        ...(next === undefined ? [element("p", { class: "empty" }, "No such jobs.")] : [more]),
      );
      return;
    }
    found.replaceChildren(
      next === undefined ? element("p", { class: "soft" }, `${jobs.length} found`) : more,
      table(
        "Jobs that were found",
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
                  href: `/board/queue/${encodeURIComponent(`${job.queue}.${job.lane}`)}/${encodeURIComponent(job.id.replace(/^(loop|thread)\.(?=repeat:)/, ""))}`,
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

/** The arguments of a job that was found, or why there are none. */
function argumentText({ args, omitted, unreadable }) {
  if (unreadable !== undefined) return `unreadable: ${unreadable}`;
  if (omitted?.data !== undefined) return `${number(omitted.data)} bytes`;
  return JSON.stringify(args).slice(0, 120);
}

void refresh();
