// One job: its facts and times, its result or error, its arguments, attempts and logs, and the buttons for it.
import { act, action, canOperate, confirm, place, problem, request, say, work } from "../actions.js";
import {
  element,
  facts,
  milliseconds,
  number,
  replace,
  section,
  stateMark,
  taskLabel,
  when,
} from "../elements.js";
import { go, linkTo } from "../links.js";
import { progressBar } from "../progress.js";

const ENDED = new Set(["completed", "failed", "cancelled"]);
/** An ended job is read seldom: its retention can remove it, and somebody can retry it. */
const ENDED_ROUNDS = 10;
/** The log lines that are shown; a longer log is cut at its beginning. */
const MAX_LINES = 2_000;

const pathOf = (id, queue, rest = "", query = {}) =>
  `/jobs/${encodeURIComponent(id)}${rest}?${new URLSearchParams({ ...(queue ? { queue } : {}), ...query })}`;

/** Returns a value as indented JSON. */
function json(value, label, key) {
  const text = value === undefined ? "undefined" : JSON.stringify(value, null, 2);
  return element("pre", { tabindex: "0", "aria-label": label, "data-key": key }, text);
}

const time = (value) =>
  element("span", {}, when(value), ` `, element("span", { class: "soft" }, exact(value)));
const exact = (value) => new Date(value).toLocaleString();

/** Returns the reason why a parked job waits. */
function limitText({ kind, key, max, duration, taken, ahead }) {
  const limit =
    kind === "rate" ? `${number(max)} starts in ${milliseconds(duration)}` : `${number(max)} at once`;
  const scope = key === undefined ? "its task" : `the key ${JSON.stringify(key)}`;
  return `a slot of ${scope} (${limit}, ${number(taken)} taken); ${number(ahead)} before it`;
}

function factsOf(job) {
  const { queue, lane, attempts, maxAttempts, tags = [], version, priority } = job;
  const list = [
    ["queue", element("a", { href: linkTo("jobs", { queue }) }, queue)],
    ["lane", lane],
    ["task", element("a", { href: linkTo("jobs", { task: job.task }) }, taskLabel(job))],
    ["attempts", `${number(attempts)} of ${number(maxAttempts)}`],
  ];
  if (job.limitedBy !== undefined) list.push(["waits for", limitText(job.limitedBy)]);
  if (version !== undefined) list.push(["version", number(version)]);
  if (priority !== undefined) list.push(["priority", number(priority)]);
  if (tags.length > 0)
    list.push([
      "tags",
      element(
        "span",
        {},
        ...tags.map((tag) => element("a", { class: "tag", href: linkTo("jobs", { tag }) }, tag)),
      ),
    ]);
  return facts(list);
}

/** Returns the times of a job, with the lengths between them. */
function timesOf(job) {
  const { state, submittedAt, startedAt, finishedAt, delay, dueAt, reason, recoveries } = job;
  const steps = [["submitted", submittedAt, "soft"]];
  if (dueAt !== undefined) steps.push(["due", dueAt, "soft"]);
  else if (delay !== undefined) steps.push(["due", submittedAt + delay, "soft"]);
  if (startedAt !== undefined) steps.push([job.attempts > 1 ? "last started" : "started", startedAt, "busy"]);
  if (finishedAt !== undefined)
    steps.push([state, finishedAt, { completed: "good", failed: "bad", cancelled: "warn" }[state] ?? "soft"]);
  steps.sort((a, b) => a[1] - b[1]);
  const items = steps.map(([name, at, style], index) => {
    const before = steps[index - 1];
    const length = before === undefined ? "" : ` +${milliseconds(Math.max(0, at - before[1]))}`;
    return element(
      "li",
      { class: style },
      element("strong", {}, name),
      element("span", { class: "soft" }, length),
      " ",
      time(at),
    );
  });
  if (!ENDED.has(state)) {
    const since = startedAt ?? submittedAt;
    const text = state === "active" ? "runs for" : `${state} for`;
    items.push(element("li", { class: "open" }, `${text} ${milliseconds(Math.max(0, Date.now() - since))}`));
  }
  if (recoveries !== undefined) {
    const text = `recovered ${recoveries === 1 ? "once" : `${recoveries} times`}: a worker that ran it died or lost its lock`;
    items.push(element("li", { class: "warn" }, text));
  }
  if (reason !== undefined) items.push(element("li", { class: "warn" }, `reason: ${reason}`));
  return element("ol", { class: "steps", "data-key": "times" }, ...items);
}

function errorBlock({ name, message, code, stack }, key) {
  return element(
    "div",
    { class: "error", "data-key": key },
    element("p", {}, element("strong", { class: "bad" }, name), ` ${message}`),
    code === undefined ? "" : element("p", { class: "soft mono" }, code),
    stack === undefined ? "" : element("pre", { tabindex: "0", "aria-label": `Stack of ${name}` }, stack),
  );
}

function panel(title, key, ...children) {
  return element("div", { class: "panel", "data-key": key }, element("h3", {}, title), ...children);
}

function panelsOf(job) {
  const panels = [];
  const { state, progress, value, error, args, calls, omitted, unreadable, failures = [] } = job;
  if (progress !== undefined) panels.push(panel("Progress", "progress", progressBar(progress, job.id)));
  if (state === "completed") panels.push(panel("Result", "result", json(value, "Result", "value")));
  if (error !== undefined) panels.push(panel("Error", "error", errorBlock(error, "error")));
  panels.push(
    panel(
      calls === undefined ? "Arguments" : `Arguments of ${number(calls)} calls`,
      "arguments",
      unreadable !== undefined
        ? element("p", { class: "bad" }, `This record is no submission of Taskloom: ${unreadable}`)
        : omitted?.data !== undefined
          ? element("p", { class: "soft" }, `${number(omitted.data)} bytes`)
          : json(args, "Arguments", "args"),
      unreadable === undefined ? "" : json(job.data, "Data", "data"),
    ),
  );
  // The times of a single attempt are those of the job.
  if (failures.length > (state === "failed" ? 1 : 0))
    panels.push(panel("Attempts", "attempts", element("ol", { class: "attempts" }, ...attemptsOf(job))));
  return panels;
}

/** Returns the attempts of a job: the failed ones, and the one that runs or was the last, which the job itself describes. */
function attemptsOf({ state, failures, attempts, startedAt, finishedAt }) {
  const items = failures.map((failure, index) =>
    attemptItem(
      failure.attempt,
      "failed",
      failure.startedAt,
      failure.endedAt,
      // The error of the last attempt stands above.
      state === "failed" && index === failures.length - 1
        ? element("p", {}, `${failure.name} ${failure.message}`)
        : element(
            "details",
            {},
            element("summary", {}, `${failure.name} ${failure.message}`),
            errorBlock(failure, index),
          ),
    ),
  );
  if (state === "active") items.push(attemptItem(attempts + 1, state, startedAt));
  else if (state === "completed" || state === "cancelled")
    items.push(attemptItem(attempts, state, startedAt, finishedAt));
  return items;
}

/** A time is missing if the worker of an older release has stored the attempt. */
function attemptItem(attempt, state, startedAt, endedAt, ...rest) {
  const times = [];
  if (startedAt !== undefined) times.push(`started ${exact(startedAt)}`);
  if (endedAt !== undefined) times.push(`ended ${exact(endedAt)}`);
  if (startedAt !== undefined && endedAt !== undefined)
    times.push(`ran ${milliseconds(Math.max(0, endedAt - startedAt))}`);
  return element(
    "li",
    {},
    element("strong", {}, attempt === undefined ? "Attempt" : `Attempt ${number(attempt)}`),
    " ",
    stateMark(state),
    " ",
    element("span", { class: "soft" }, times.join(", ")),
    ...rest,
  );
}

/** Returns the button that removes a job which does not run. The list of jobs is shown afterwards. */
function removeButton(job) {
  const { id, queue, state } = job;
  return action("Remove …", `Remove job ${id}`, (button) =>
    confirm(
      {
        title: `Remove ${taskLabel(job)}?`,
        text: ENDED.has(state)
          ? `Job ${id} is removed with its ${state === "completed" ? "result" : "error"} and its log. Nobody can read them any more.`
          : `Job ${id} is cancelled and removed. Its callers receive a CancelledError.`,
        yes: "Yes, remove the job",
      },
      button,
      () =>
        work(button, async () => {
          await request(pathOf(id, queue, "/remove"), { method: "POST" });
          go(linkTo("jobs", { queue }));
          return `Job ${id} is removed.`;
        }),
    ),
  );
}

/** Returns the buttons for a job in its state. */
function buttonsOf(job, refresh) {
  const { id, queue, state } = job;
  const buttons = [];
  const then = async (button, done, path, options) => {
    await act(button, done, path, options);
    await refresh(true);
  };
  const copy = action("Copy link", `Copy link of job ${id}`, (button) =>
    work(button, async () => {
      await navigator.clipboard.writeText(location.href);
      return "The link is copied.";
    }),
  );
  if (canOperate() && !ENDED.has(state))
    buttons.push(
      action("Cancel …", `Cancel job ${id}`, (button) =>
        confirm(
          {
            title: `Cancel ${taskLabel(job)}?`,
            text: `Job ${id} is asked to end. Its callers receive a CancelledError.`,
            yes: "Yes, cancel the job",
            reason: true,
          },
          button,
          (reason) =>
            then(
              button,
              "The cancellation is requested.",
              pathOf(id, queue, "", { reason: reason || "live page" }),
              { method: "DELETE" },
            ),
        ),
      ),
    );
  if (canOperate() && state === "delayed" && !id.includes("repeat:"))
    buttons.push(
      action("Run now", `Run now: job ${id}`, (button) =>
        then(button, "The job runs as soon as a worker is free.", pathOf(id, queue, "/promote"), {
          method: "POST",
        }),
      ),
    );
  if (canOperate() && state === "failed")
    buttons.push(
      action(
        "Retry",
        `Retry job ${id}`,
        (button) => then(button, "The job is retried.", pathOf(id, queue, "/retry"), { method: "POST" }),
        "primary",
      ),
    );
  // The next run of a schedule belongs to its schedule.
  if (
    canOperate() &&
    (ENDED.has(state) || ((state === "waiting" || state === "delayed") && !id.includes("repeat:")))
  )
    buttons.push(removeButton(job));
  return [...buttons, copy];
}

export function open(root, { id, query }) {
  const queue = query.get("queue") ?? undefined;
  const lines = [];
  let job;
  let rounds = 0;
  let isReading = false;
  const back = element("a", { href: linkTo("jobs"), class: "back" }, "Jobs");
  root.append(
    section(
      "job",
      "Job ",
      element("div", { id: "job-head" }),
      element("div", { id: "job-body", class: "two" }),
      element("div", { id: "job-panels" }),
      element(
        "div",
        { class: "panel", id: "log-panel", hidden: "" },
        element("h3", {}, "Log"),
        element("pre", { id: "log", tabindex: "0", role: "log", "aria-label": "Log" }),
      ),
    ),
  );
  const heading = place("job-heading");
  heading.append(element("code", {}, id));
  heading.before(back);

  async function readLog() {
    const log = place("log");
    const isAtEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    let isLonger = false;
    for (;;) {
      const page = await request(pathOf(id, queue, "/logs", { from: lines.length }));
      if (page.length === 0) break;
      lines.push(...page);
      isLonger = true;
    }
    if (!isLonger) return;
    place("log-panel").hidden = false;
    const cut = Math.max(0, lines.length - MAX_LINES);
    const note = cut === 0 ? "" : `… ${number(cut)} lines before\n`;
    log.textContent = `${note}${lines.slice(cut).join("\n")}`;
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  }

  async function refresh(isChanged = false) {
    if (isReading) return;
    if (!isChanged && job !== undefined && ENDED.has(job.state) && ++rounds % ENDED_ROUNDS !== 0) return;
    isReading = true;
    try {
      job = await request(pathOf(id, queue));
      show();
      await readLog();
    } catch (error) {
      // The link may be old: a job is removed after its retention.
      if (job === undefined) replace(place("job-head"), [problem(error)]);
      else say(`The job cannot be read: ${error.message}`, "bad");
    } finally {
      isReading = false;
    }
  }

  function show() {
    const mark = element("span", { "data-key": "state", class: "big" }, stateMark(job.state));
    const name = element("strong", { "data-key": "task", class: "big" }, taskLabel(job));
    const buttons = element("span", { "data-key": `buttons ${job.state}`, class: "buttons" });
    buttons.append(...buttonsOf(job, refresh));
    const head = place("job-head");
    head.className = "job-head";
    replace(head, [name, mark, buttons]);
    replace(place("job-body"), [factsOf(job), timesOf(job)]);
    replace(place("job-panels"), panelsOf(job));
  }

  return { title: `Job ${id}`, refresh };
}
