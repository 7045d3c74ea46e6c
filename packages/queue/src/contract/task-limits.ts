/** One limit of a task, for the jobs that it counts together. */
export interface LimitTerms {
  /** The name of the limit in its lane, as {@link limitName} makes it. */
  readonly name: string;
  /** The greatest number of slots. */
  readonly max: number;
  /**
   * Milliseconds for which the start of a job takes a slot, for a limit of a rate. 0 for a limit of the concurrency: a job then
   * takes a slot until the end of its run.
   */
  readonly window: number;
}

/** A limit of a job that asks for a slot. */
export interface AskedLimit extends LimitTerms {
  /** Whether each job that another limit of this job counts is counted by this limit, too: its scope has the other's. */
  readonly includesOthers: boolean;
}

/** The answer to a job that asks for its slots. */
export type LimitAnswer =
  /** The job has a slot of each of its limits. */
  | { readonly kind: "granted" }
  /** The job waits in the line of a limit. It asks again at `until` (the engine's clock) at the latest. */
  | { readonly kind: "refused"; readonly limit: string; readonly until: number }
  /** The lock of the job has another token: another worker has the job. */
  | { readonly kind: "lost" };

/** A job that enters the lines of its limits. */
export interface LimitEntry {
  /** The id under which the engine stores the job. */
  readonly id: string;
  readonly limits: readonly string[];
}

/** The state of one limit, for operators. */
export interface LimitState extends LimitTerms {
  /** The number of slots that are taken. */
  readonly taken: number;
  /** The number of jobs in the line: those that have asked, and those that have not been taken by a worker yet. */
  readonly waiting: number;
}

/** The place of a job in the line of a limit. */
export interface LimitPlace extends LimitState {
  /** The number of jobs before it in the line. */
  readonly ahead: number;
}

/**
 * The limits of tasks at an engine.
 *
 * @remarks
 * A **slot** lets one job run. A limit has `max` of them. Before a limited job runs, its worker asks for one slot of each limit
 * of the job, in one atomic step. A job without a slot enters the **line** of one limit, and its worker parks it among the
 * delayed jobs, so it takes no place of the lane. {@link wake} lets the first jobs of a line wait again.
 *
 * Invariants:
 *
 * - A limit never has more than `max` slots taken. A slot of a concurrency limit belongs to a job and the token of its lock. It
 *   is free as soon as the job has no lock with this token, so a worker that is killed keeps no slot for longer than its locks.
 * - A slot is granted in the order of the line. A job enters the line when it is submitted ({@link join}), or when it asks
 *   first. A job at the front that does not ask within {@link LINE_GRACE_MS} is passed over, and keeps its place.
 * - A job waits for a slot of one limit: that which has refused it. It leaves the lines of its other limits, so it does not
 *   delay jobs that the refusing limit does not count. If that limit includes the others, it stays in their lines, too, and keeps
 *   the order of its key: no job overtakes it that would be refused as well.
 * - {@link release} and {@link wake} only save time. A lost call is made up for by the next one, by {@link sweep}, and by the
 *   time at which a parked job asks again.
 */
export interface TaskLimits {
  /**
   * Throws an EngineUnsupportedError for a job of a limited task whose shard does not follow from the task. Only an engine with
   * shards has this function: a client calls it before it stores such a job or a schedule.
   *
   * @param origin the reason for the job's place, as in "a job with `id`".
   */
  readonly refuse?: (task: string, origin: string) => never;
  /** Enters jobs that are about to be added. A job that is in the line, or has a slot, keeps its place. */
  join(lane: string, entries: readonly LimitEntry[]): Promise<void>;
  /** Asks for a slot of each limit. A repeated call has the same answer. */
  ask(lane: string, id: string, token: string, limits: readonly AskedLimit[]): Promise<LimitAnswer>;
  /**
   * Frees the slots of a run that has ended, and wakes the first jobs of the lines.
   *
   * @param isBack whether the run was handed back. Its job then gets its old place in the lines.
   */
  release(lane: string, id: string, token: string, limits: readonly string[], isBack: boolean): Promise<void>;
  /** Wakes the first jobs of the lines for which there are slots. */
  wake(lane: string, limits: readonly string[]): Promise<void>;
  /** Frees the slots of dead workers, wakes the first jobs of all lines, and drops unused limits. */
  sweep(lane: string): Promise<void>;
  /** Drops a limit that no task has any more, and wakes all jobs of its line. */
  drop(lane: string, limit: string): Promise<void>;
  /** Reads the limits that are in use, in the order of their names. */
  list(lane: string): Promise<LimitState[]>;
  /** Reads the place of a job that waits for a slot; undefined for any other job. */
  place(lane: string, id: string): Promise<LimitPlace | undefined>;
}

/** The time for which a job at the front of a line may be on its way to a worker, before later jobs pass it. */
export const LINE_GRACE_MS = 500;

/** A parked job asks again after this time, whatever happens to its limit. */
export const LONGEST_PARK_MS: number = 24 * 3_600_000;

/** The greatest number of jobs or limits that one command of a sweep reads. */
export const MAX_LIMITS_SWEPT = 500;

/** Returns the name of a limit: the kind, the task, and for a limit with keys the key of the job. */
export function limitName(kind: "concurrency" | "rate", task: string, key: string | undefined): string {
  return key === undefined ? `${kind}:${task}` : `${kind}:${task}:${key}`;
}

/** The parts of the name of a limit. */
export interface LimitNameParts {
  readonly kind: "concurrency" | "rate";
  readonly task: string;
  readonly key: string | undefined;
}

/** Returns the parts of a name. A name of a task has no colon, and a key can have some. */
export function limitNameParts(name: string): LimitNameParts {
  const [kind = "", task = "", ...key] = name.split(":");
  return {
    kind: kind === "rate" ? "rate" : "concurrency",
    task,
    key: key.length === 0 ? undefined : key.join(":"),
  };
}
