// The rows of a list of jobs.
import { element, head, milliseconds, number, stateMark, table, taskLabel, when } from "../elements.js";
import { linkToJob, linkToRun } from "../links.js";
import { progressBar } from "../progress.js";

/** Returns the arguments of a job in short, or the reason why they are not shown. */
export function argumentText({ args, omitted, unreadable }) {
  if (unreadable !== undefined) return `unreadable: ${unreadable}`;
  if (omitted?.data !== undefined) return `${number(omitted.data)} bytes`;
  return JSON.stringify(args).slice(1, -1).slice(0, 160);
}

/** A durable run has a view of its own, with its history. */
export const linkOf = (job) => (job.lane === "workflow" ? linkToRun(job) : linkToJob(job));

/** Returns the time that says most about a job in its state. */
function timeOf(job) {
  const { state, startedAt, finishedAt, submittedAt, dueAt } = job;
  if (finishedAt !== undefined) {
    const ran = startedAt === undefined ? "" : ` · ran ${milliseconds(Math.max(0, finishedAt - startedAt))}`;
    return [when(finishedAt), element("span", { class: "soft" }, ran)];
  }
  if (state === "active" && startedAt !== undefined)
    return [`for ${milliseconds(Math.max(0, Date.now() - startedAt))}`];
  return [when(dueAt ?? submittedAt)];
}

function rowOf(job, extra) {
  const { id, state, queue, attempts, maxAttempts, progress, error, tags = [] } = job;
  const name = taskLabel(job);
  return element(
    "tr",
    { "data-key": `${queue} ${id}` },
    ...extra(job),
    element("td", {}, stateMark(state)),
    element(
      "th",
      { scope: "row" },
      element("a", { href: linkOf(job), "aria-label": `${name} ${id}` }, name),
      element("span", { class: "id" }, id),
      ...tags.map((tag) => element("span", { class: "tag" }, tag)),
    ),
    element(
      "td",
      { class: "detail" },
      state === "active" && progress !== undefined ? progressBar(progress, id) : "",
      error === undefined
        ? element("span", { class: "mono soft" }, argumentText(job))
        : element("span", { class: "bad" }, `${error.name}: ${error.message}`.slice(0, 200)),
    ),
    element(
      "td",
      { class: "number wide" },
      maxAttempts > 1 || attempts > 1 ? `${attempts}/${maxAttempts}` : "",
    ),
    element("td", { class: "wide" }, queue),
    element("td", { class: "time" }, ...timeOf(job)),
  );
}

/**
 * Returns a table of jobs.
 *
 * @param extra returns the cells before those of every list; `extraHeads` are their heads.
 */
export function jobTable(label, jobs, { extra = () => [], extraHeads = [], key } = {}) {
  const heads = [
    ...extraHeads,
    "State",
    "Job",
    "Arguments or error",
    head("Attempts", "number wide"),
    head("Queue", "wide"),
    "Time",
  ];
  return table(
    label,
    heads,
    jobs.map((job) => rowOf(job, extra)),
    key,
  );
}
