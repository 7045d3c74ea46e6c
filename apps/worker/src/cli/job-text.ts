import { inspect } from "node:util";
import { decodeValue } from "@taskloom/queue/operating";
import { hasEnded } from "../operations/operations.ts";
import type { LimitedBy } from "@taskloom/queue/operating";
import type { FailureView, JobView } from "../operations/operations.ts";
import { duration } from "../terminal/duration.ts";
import { Styled, out } from "../terminal/output.ts";
import type { Part, Style } from "../terminal/output.ts";
import { cut } from "../terminal/table.ts";
import { visibleJson } from "../terminal/visible-text.ts";
import { errorText } from "../terminal/user-stack.ts";

const STATE_STYLES: Readonly<Record<string, Style>> = {
  completed: "green",
  failed: "red",
  cancelled: "yellow",
  active: "cyan",
};

/** Returns a job's state in its colour. */
export function stateText(state: string): Part {
  const style = STATE_STYLES[state];
  return style === undefined ? state : new Styled(style, state);
}

/** Returns the value of a task for a person: as JSON if JSON can express it, and otherwise as Node prints it. */
export function valueText(value: unknown): string {
  const json = JSON.stringify(value, null, 2) ?? "undefined";
  if (json.includes('"$taskloom"')) return inspect(decodeValue(value), { depth: 10, maxArrayLength: 1_000 });
  return process.stdout.isTTY ? visibleJson(json) : json;
}

/** Returns a value as one line of at most `length` characters. */
export function brief(value: unknown, length = 60): string {
  const text = JSON.stringify(value) ?? "";
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

function callText({ task, args, calls }: JobView): string {
  const first = calls === undefined ? args : args[0];
  const words = Array.isArray(first) ? first.map((arg) => brief(arg, 200)) : [];
  const call = `${task}(${words.join(", ")})`;
  if (calls === undefined) return call;
  return `${call}${calls > 1 ? ` and ${(calls - 1).toLocaleString("en-US")} more calls` : ""}, in one pack`;
}

function attemptText({ attempts, maxAttempts, state, startedAt }: JobView): string {
  if (attempts === 0 && startedAt === undefined)
    return hasEnded(state)
      ? "never started"
      : `not started, ${maxAttempts} attempt${maxAttempts === 1 ? "" : "s"}`;
  // The attempt that runs now is not counted yet.
  const current = state === "active" ? attempts + 1 : attempts;
  return `attempt ${Math.max(1, current)} of ${Math.max(maxAttempts, current)}`;
}

/** Returns the reason why a parked job waits, for a person. */
export function limitText({ kind, key, max, duration: per = 0, taken, ahead }: LimitedBy): string {
  const count = (n: number): string => n.toLocaleString("en-US");
  const limit = kind === "rate" ? `${count(max)} starts in ${count(per)} ms` : `${count(max)} at once`;
  const scope = key === undefined ? "its task" : `the key ${JSON.stringify(key)}`;
  return `a slot of ${scope} (${limit}, ${count(taken)} taken); ${count(ahead)} job${ahead === 1 ? "" : "s"} before it`;
}

/** Returns a failed attempt in one line; its times are those that its worker has stored. */
export function failureText({ attempt, startedAt, endedAt, name, message }: FailureView): string {
  const ran =
    startedAt === undefined || endedAt === undefined ? "" : `, ran ${duration(endedAt - startedAt)}`;
  const started = startedAt === undefined ? "" : `, started ${new Date(startedAt).toLocaleString()}`;
  const error = cut(`${name}: ${message}`.replaceAll(/\s+/g, " "), 200);
  return `${attempt === undefined ? "an attempt" : `attempt ${attempt}`}${started}${ran}: ${error}`;
}

/** Returns how often a job was taken from a worker that did not end it. */
function recoveryText(recoveries: number): string {
  return recoveries === 1
    ? "once: a worker that ran it died or lost its lock"
    : `${recoveries} times: workers that ran it died or lost its lock`;
}

/** Writes one job to standard output, for a person. */
export function printJob(job: JobView): void {
  const lines: [string, ...Part[]][] = [
    ["job", job.id],
    ["task", callText(job)],
    ["queue", `${job.queue}, ${job.lane} lane`],
    ["state", stateText(job.state), `, ${attemptText(job)}`],
    ["submitted", new Date(job.submittedAt).toLocaleString()],
  ];
  if (job.dueAt !== undefined) lines.push(["due", new Date(job.dueAt).toLocaleString()]);
  if (job.limitedBy !== undefined) lines.push(["waits for", limitText(job.limitedBy)]);
  if (job.startedAt !== undefined) lines.push(["started", new Date(job.startedAt).toLocaleString()]);
  if (job.recoveries !== undefined) lines.push(["recovered", recoveryText(job.recoveries)]);
  if (job.startedAt !== undefined && job.finishedAt !== undefined)
    lines.push(["ran", `${job.finishedAt - job.startedAt} ms`]);
  for (const failure of job.failures ?? []) lines.push(["failed", failureText(failure)]);
  if (job.progress !== undefined) lines.push(["progress", brief(job.progress, 200)]);
  if (job.unreadable !== undefined) {
    lines.push(["unreadable", job.unreadable]);
    lines.push(["data", brief(job.data, 1_000)]);
  }
  if (job.value !== undefined) lines.push(["value", valueText(job.value)]);
  if (job.reason !== undefined) lines.push(["reason", job.reason]);
  if (job.error !== undefined) lines.push(["error", errorText(job.error)]);
  for (const [name, ...parts] of lines) out(`${name}:`.padEnd(11), ...parts);
}
