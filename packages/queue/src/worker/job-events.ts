import type { BullJob } from "../contract/lane-queue.ts";
import { publicId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";

/** The start of one job on this worker. */
export interface JobStart {
  readonly id: string;
  /** The name of the task. */
  readonly name: string;
  readonly queue: string;
  readonly lane: Lane;
  /** The number of this attempt; the first is 1. */
  readonly attempt: number;
  /**
   * Milliseconds that the job waited in the queue, from the time at which it could first run; 0 for a durable run that
   * was parked.
   */
  readonly waited: number;
  /** The number of workers that have run the job before, and died or lost its lock; 0 for most jobs. */
  readonly recoveries: number;
  /** The arguments in the wire's JSON; for a pack, the arguments of each call. */
  readonly args: readonly unknown[];
  /** The number of calls in the job, if it is a pack of a queue's `map`. */
  readonly calls?: number;
}

/** The end of one job on this worker. A failed attempt after which the job is retried has the state `"retrying"`. */
export interface JobEvent {
  readonly id: string;
  /** The name of the task. */
  readonly name: string;
  readonly queue: string;
  readonly lane: Lane;
  readonly state: "completed" | "failed" | "cancelled" | "retrying";
  /** The number of this attempt; the first is 1. */
  readonly attempt: number;
  /** Milliseconds that this attempt ran. */
  readonly duration: number;
  /** The number of calls in the job, if it is a pack of a queue's `map`. */
  readonly calls?: number;
  readonly error?: unknown;
}

/** The end of one attempt of a step of a durable run on this worker. */
export interface StepEvent {
  /** The id of the run. */
  readonly run: string;
  /** The id that `currentJob()` has in the step. */
  readonly key: string;
  /** The name of the task. */
  readonly name: string;
  readonly queue: string;
  /** The lane in which the step ran. */
  readonly lane: Lane;
  readonly state: "completed" | "failed" | "cancelled";
  /** The number of this attempt; the first is 1. */
  readonly attempt: number;
  /** The time at which the worker got the step, in `Date.now()` milliseconds; it may have waited for a place since. */
  readonly startedAt: number;
  /** Milliseconds from {@link startedAt} to the end. */
  readonly duration: number;
  readonly error?: unknown;
}

/** Receives the jobs that this worker cannot run. */
export type ReportUnknown = (job: {
  readonly id: string;
  readonly name: string;
  /** The wanted version; undefined for a job of BullMQ's own client. */
  readonly version: number | undefined;
}) => void;

/** A warning about one durable run. */
export interface RunWarning {
  /** A stable code, such as `RUN_IMPURE`. */
  readonly code: string;
  readonly message: string;
  readonly id: string;
  /** The name of the workflow. */
  readonly name: string;
}

/** The listeners of a worker, for logs and figures. An error of a listener never fails a job. */
export interface WorkerListeners {
  /** Notified of every job that starts to run here. */
  readonly onStart?: (start: JobStart) => void;
  /**
   * Notified of every job that has ended here, after the engine has stored the end. If the connection was cut, the
   * engine's answer can come so late that the end of the next attempt is notified first; see `attempt`.
   */
  readonly onJob?: (event: JobEvent) => void;
  /** Notified of every attempt of a step of a durable run that has ended here, in the context of the run's submission. */
  readonly onStep?: (event: StepEvent) => void;
  /** Notified of every job that fits none of the tasks. The job is put back, and waits for a worker that knows it. */
  readonly onUnknown?: ReportUnknown;
  /** Notified of every command that the engine refused, such as a job's end on a full disk. The command is repeated. */
  readonly onEngineError?: (error: Error) => void;
  /** Notified of warnings about durable runs, such as impure code. Default: a process warning. */
  readonly onWarning?: (warning: RunWarning) => void;
}

/** Returns the event of a job that has just started. */
export function startOf(job: BullJob, queue: string, lane: Lane): JobStart {
  return {
    id: publicId(lane, job.id!),
    name: job.name,
    queue,
    lane,
    attempt: job.attemptsMade + 1,
    waited: waitedOf(job, lane),
    recoveries: job.stalledCounter,
    args: job.plain === undefined ? job.data.args : [job.plain.data],
    ...callsOf(job),
  };
}

/** A durable run that starts again was parked meanwhile, and the time of its wake is not stored. */
export function waitedOf({ processedOn, timestamp, opts, attemptsStarted }: BullJob, lane: Lane): number {
  if (lane === "workflow" && attemptsStarted > 1) return 0;
  return Math.max(0, (processedOn ?? Date.now()) - timestamp - (opts.delay ?? 0));
}

/** Returns the event of a job whose attempt has just ended. */
export function endOfAttempt(
  job: BullJob,
  queue: string,
  lane: Lane,
  state: JobEvent["state"],
  error: unknown,
): JobEvent {
  return {
    id: publicId(lane, job.id!),
    name: job.name,
    queue,
    lane,
    state,
    attempt: job.attemptsMade,
    duration: durationOf(job),
    ...callsOf(job),
    ...(error === undefined ? {} : { error }),
  };
}

/** Returns the milliseconds that the last attempt of a job has run. */
export function durationOf({ finishedOn, processedOn }: BullJob): number {
  return (finishedOn ?? Date.now()) - (processedOn ?? Date.now());
}

function callsOf({ data }: BullJob): { readonly calls?: number } {
  // Another client can have stored a pack without calls.
  return data.pack === true && Array.isArray(data.args) ? { calls: data.args.length } : {};
}
