import type { JobRecord, StoredState, StoredText } from "../contract/job-record.ts";
import { countedAttempts } from "../contract/job-record.ts";
import { publicId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { MAX_PARKED_MS } from "../contract/run-journal.ts";
import { decodeError } from "../wire/decode.ts";
import { storedAttempt } from "../wire/failed-attempt.ts";
import { outcomeOf } from "../wire/outcome.ts";
import type { LimitedBy } from "./task-limits.ts";

/** The state of a job. Other than in BullMQ, `cancelled` is a state of its own. */
export type JobState =
  | "waiting"
  | "delayed"
  | "active"
  | "waiting-children"
  | "completed"
  | "failed"
  | "cancelled"
  | "unknown";

/** A failed attempt of a job. Only its error is there if a client other than a worker of Taskloom has stored it. */
export interface FailedRun {
  readonly error: unknown;
  /** The number of the attempt. A retry by an operator begins at 1 again. */
  readonly attempt?: number;
  /** Milliseconds of the epoch, as `endedAt`. */
  readonly startedAt?: number;
  readonly endedAt?: number;
}

/** A stored job as an operator sees it; times are milliseconds of the epoch. */
export interface JobSnapshot {
  readonly id: string;
  /** The task's name. */
  readonly task: string;
  readonly queue: string;
  readonly lane: Lane;
  readonly state: JobState;
  /** The number of attempts so far; 0 for a job that was cancelled before it started. */
  readonly attempts: number;
  readonly maxAttempts: number;
  /** The arguments in the wire's JSON; empty if they are omitted or cannot be read. */
  readonly args: readonly unknown[];
  /** The number of calls, if the job is a pack of a `queue.map`; `args` then has the arguments of each call. */
  readonly calls?: number;
  /** The tags of the submission. */
  readonly tags?: readonly string[];
  /** The time after which the result is of no use. */
  readonly deadline?: number;
  /** Milliseconds that one attempt may run, or one history of a durable run. */
  readonly timeout?: number;
  /** The version of the task for which a durable run was submitted. */
  readonly version?: number;
  readonly progress?: unknown;
  readonly submittedAt: number;
  /** The number of workers that have run the job and died, or lost its lock; undefined if there is none. */
  readonly recoveries?: number;
  /** The milliseconds from the submission to the first start, as the submitter asked for them. */
  readonly delay?: number;
  /**
   * The time at which a delayed job is due: after its delay or its back-off. A parked durable run goes on then at the latest; a
   * delivery wakes it earlier. Undefined for one that waits for deliveries alone.
   */
  readonly dueAt?: number;
  /** The priority; 1 goes first. Jobs without a priority go before them. */
  readonly priority?: number;
  /** The limit for a slot of which a delayed job waits, if one job is read. */
  readonly limitedBy?: LimitedBy;
  readonly startedAt?: number;
  readonly finishedAt?: number;
  /** The result, in the wire's JSON. */
  readonly value?: unknown;
  /** The error of a job that failed for good. */
  readonly error?: unknown;
  /** The failed attempts, the first one first, if one job is read. */
  readonly failures?: readonly FailedRun[];
  /** The reason of a cancelled job, if its canceller passed one. */
  readonly reason?: string;
  /** The fields that are omitted because they are large, with the size of each in bytes. */
  readonly omitted?: Readonly<Record<string, number>>;
  /** The faults of a record that is not a submission of Taskloom; `data` then has the stored data. */
  readonly unreadable?: string;
  readonly data?: unknown;
}

/** Returns the state of a job for a state of BullMQ. A job that is stored as completed may also be a cancelled one. */
export function plainState(state: StoredState | "unknown"): JobState {
  return state === "prioritized" || state === "paused" ? "waiting" : state;
}

/**
 * Reads a stored job. Any client of the database can have written the record, so no field is trusted: a record that is not
 * a submission is returned as it is, and marked as `unreadable`.
 */
export function readSnapshot(
  record: JobRecord,
  state: StoredState | "unknown",
  queue: string,
  lane: Lane,
): JobSnapshot {
  const faults: string[] = [];
  const omitted: Record<string, number> = {};
  const parse = (name: string, { text, bytes }: StoredText): unknown => {
    if (text === undefined) {
      if (bytes > 0) omitted[name] = bytes;
      return undefined;
    }
    try {
      return JSON.parse(text);
    } catch {
      faults.push(`its ${name} is not JSON`);
      return undefined;
    }
  };
  const { texts } = record;
  const data = parse("data", texts.data);
  const call = omitted["data"] === undefined ? callOf(data, texts.data, faults) : { args: [] };
  const opts = parse("opts", texts.opts);
  const progress = parse("progress", texts.progress);
  const { attempts, delay, priority } = isObject(opts) ? opts : {};
  if (texts.opts.text !== undefined && !isObject(opts) && faults.every((fault) => !fault.includes("opts")))
    faults.push("its opts is not an object");
  return {
    id: publicId(lane, record.id),
    task: record.name,
    queue,
    lane,
    ...endOf(record, state, parse),
    attempts: countedAttempts(record.attemptsMade, record.attemptsStarted),
    maxAttempts: typeof attempts === "number" && attempts >= 1 ? attempts : 1,
    ...call,
    ...tagsOf(data),
    ...limitsOf(data),
    ...versionOf(data, lane),
    ...(isEmpty(progress) ? {} : { progress }),
    ...(record.recoveries === 0 ? {} : { recoveries: record.recoveries }),
    submittedAt: record.timestamp,
    ...(typeof delay === "number" && delay > 0 ? { delay } : {}),
    ...dueOf(record, lane),
    ...(typeof priority === "number" && priority > 0 ? { priority } : {}),
    ...(record.processedOn === undefined ? {} : { startedAt: record.processedOn }),
    ...(record.finishedOn === undefined ? {} : { finishedAt: record.finishedOn }),
    ...(Object.keys(omitted).length === 0 ? {} : { omitted }),
    ...(faults.length === 0
      ? {}
      : { unreadable: faults.join(", "), data: data === undefined ? texts.data.text : data }),
  };
}

/** Returns the time at which a job is due. A run that waits for a delivery alone is parked for the longest time, and has none. */
function dueOf({ dueAt, processedOn = 0 }: JobRecord, lane: Lane): Pick<JobSnapshot, "dueAt"> {
  if (dueAt === undefined || (lane === "workflow" && dueAt - processedOn >= MAX_PARKED_MS)) return {};
  return { dueAt };
}

function callOf(
  data: unknown,
  { text }: StoredText,
  faults: string[],
): Pick<JobSnapshot, "args"> & { readonly calls?: number } {
  const fault = (why: string): { readonly args: [] } => {
    faults.push(why);
    return { args: [] };
  };
  if (faults.length > 0) return { args: [] };
  if (text === undefined) return fault("it has no data");
  if (!isObject(data)) return fault(`its data is ${kindOf(data)} and not an object`);
  const { args, pack } = data;
  if (!Array.isArray(args)) return fault(`its arguments are ${kindOf(args)} and not a list`);
  if (pack !== true) return { args };
  if (!args.every((item) => Array.isArray(item)))
    return { ...fault("its pack holds what is not a list"), args };
  return { args, calls: args.length };
}

function tagsOf(data: unknown): Pick<JobSnapshot, "tags"> {
  const tags = isObject(data) ? data["tags"] : undefined;
  if (!Array.isArray(tags)) return {};
  return { tags: tags.filter((tag): tag is string => typeof tag === "string") };
}

function limitsOf(data: unknown): Pick<JobSnapshot, "deadline" | "timeout"> {
  if (!isObject(data)) return {};
  const { deadline, timeout } = data;
  return {
    ...(typeof deadline === "number" ? { deadline } : {}),
    ...(typeof timeout === "number" ? { timeout } : {}),
  };
}

/** A run never continues with code of another version, so an operator needs its version. */
function versionOf(data: unknown, lane: Lane): Pick<JobSnapshot, "version"> {
  const version = lane === "workflow" && isObject(data) ? data["version"] : undefined;
  return typeof version === "number" ? { version } : {};
}

function endOf(
  { texts }: JobRecord,
  state: StoredState | "unknown",
  parse: (name: string, text: StoredText) => unknown,
): Pick<JobSnapshot, "state" | "value" | "error" | "reason"> {
  if (state !== "completed" && state !== "failed") return { state: plainState(state) };
  const stack = state === "failed" ? parse("stacktrace", texts.stacktrace) : undefined;
  const outcome = outcomeOf({
    failed: state === "failed",
    returnvalue: state === "completed" ? parse("returnvalue", texts.returnvalue) : undefined,
    failedReason: texts.failedReason.text,
    stacktrace: Array.isArray(stack) ? stack.filter((each) => typeof each === "string") : [],
  });
  switch (outcome.state) {
    case "completed":
      return { state: "completed", value: outcome.value };
    case "failed":
      return { state: "failed", error: safelyDecoded(outcome.error) };
    case "cancelled":
      return outcome.message === undefined
        ? { state: "cancelled" }
        : { state: "cancelled", reason: outcome.message };
  }
}

/** Returns the failed attempts of a job, as its stacks have them. */
export function failuresOf({ texts: { stacktrace } }: JobRecord): FailedRun[] {
  let stacks: unknown;
  try {
    stacks = JSON.parse(stacktrace.text ?? "[]");
  } catch {
    return []; // Another client wrote it. The snapshot names the fault.
  }
  if (!Array.isArray(stacks)) return [];
  return stacks.filter((stack): stack is string => typeof stack === "string").map(failedRun);
}

function failedRun(stack: string): FailedRun {
  const [failedReason] = stack.split("\n", 1);
  const outcome = outcomeOf({ failed: true, returnvalue: undefined, failedReason, stacktrace: [stack] });
  if (outcome.state !== "failed") return { error: undefined };
  const { attempt, startedAt, endedAt } = storedAttempt(outcome.error) ?? {};
  return {
    error: safelyDecoded(outcome.error),
    ...(attempt === undefined ? {} : { attempt }),
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(endedAt === undefined ? {} : { endedAt }),
  };
}

function safelyDecoded(error: unknown): unknown {
  try {
    return decodeError(error);
  } catch (cause) {
    return new Error("The stored error cannot be read", { cause });
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isEmpty(progress: unknown): boolean {
  // BullMQ stores 0 or an empty object for a job without progress.
  return (
    progress === undefined || progress === 0 || (isObject(progress) && Object.keys(progress).length === 0)
  );
}

function kindOf(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : `a ${typeof value}`;
}
