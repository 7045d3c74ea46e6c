import type { Lane, QueueCounts } from "@taskloom/queue";
import type { WorkerView } from "./worker-view.ts";

/** Where a job is; `cancelled` is an outcome of its own. */
export type JobState =
  | "waiting"
  | "delayed"
  | "active"
  | "waiting-children"
  | "completed"
  | "failed"
  | "cancelled"
  | "unknown";

/** What went wrong, as it is shown. */
export interface ErrorView {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
}

/** One job with everything that is known of it; times are `Date.now()` milliseconds. */
export interface JobView {
  readonly id: string;
  readonly task: string;
  readonly queue: string;
  readonly lane: Lane;
  readonly state: JobState;
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly args: readonly unknown[];
  /** How many calls it carries when it is one pack of a `queue.map`; `args` then has the arguments of each. */
  readonly calls?: number;
  readonly progress?: unknown;
  readonly submittedAt: number;
  readonly startedAt?: number;
  readonly finishedAt?: number;
  /** What it returned, in the wire's JSON: what JSON cannot say is tagged. */
  readonly value?: unknown;
  readonly error?: ErrorView;
  /** Why it was cancelled, when somebody said. */
  readonly reason?: string;
}

/** What may be said of one submission. Durations in milliseconds. */
export interface SubmitRequest {
  readonly queue?: string;
  readonly id?: string;
  readonly delay?: number;
  readonly priority?: number;
  readonly attempts?: number;
  readonly timeout?: number;
  readonly deadline?: number;
}

/** One queue, both lanes. */
export interface QueueView {
  readonly loop: LaneCounts;
  readonly thread: LaneCounts;
  readonly isPaused: boolean;
}

/** One lane's jobs by state, and how long the oldest that could run has waited, in milliseconds. */
export interface LaneCounts extends QueueCounts {
  readonly oldestWait: number;
}

/** Jobs that failed for good with one error. */
export interface FailedGroup {
  readonly task: string;
  readonly error: ErrorView;
  readonly count: number;
  readonly lastAt: number;
  /** The newest ones. */
  readonly ids: readonly string[];
}

/** A task that is submitted again and again. */
export interface ScheduleView {
  readonly id: string;
  readonly task: string;
  readonly queue: string;
  readonly lane: Lane;
  readonly cron?: string;
  /** Milliseconds. */
  readonly every?: number;
  readonly timezone?: string;
  readonly next?: number;
}

/** A schedule as it is asked for. */
export interface ScheduleRequest {
  readonly queue?: string;
  readonly task: string;
  readonly args: readonly unknown[];
  readonly cron?: string;
  /** Milliseconds. */
  readonly every?: number;
  readonly timezone?: string;
}

/** Which jobs {@link Operations.jobs} looks for. */
export interface JobSearch {
  readonly queue?: string;
  readonly state?: JobState;
  /** In the id, the task's name or the arguments. */
  readonly text?: string;
  readonly limit?: number;
}

/**
 * What an operator can do and see. The HTTP server does it on an engine; the command line does it on an engine or, when
 * that belongs to another process, through that process's HTTP address.
 */
export interface Operations {
  submit(task: string, args: readonly unknown[], request?: SubmitRequest): Promise<JobView>;
  /** Throws a ServiceError `JOB_UNKNOWN` when there is none. */
  job(id: string, queue?: string): Promise<JobView>;
  /** The job once it has ended, or as it is after `milliseconds`. */
  ended(id: string, milliseconds: number, queue?: string): Promise<JobView>;
  logs(id: string, from: number, queue?: string): Promise<readonly string[]>;
  cancel(id: string, reason: string, queue?: string): Promise<JobView>;
  jobs(search: JobSearch): Promise<readonly JobView[]>;
  queues(): Promise<Readonly<Record<string, QueueView>>>;
  pause(queue: string, isPaused: boolean): Promise<void>;
  workers(): Promise<readonly WorkerView[]>;
  failed(queue?: string): Promise<readonly FailedGroup[]>;
  retry(id: string, queue?: string): Promise<void>;
  schedules(queue?: string): Promise<readonly ScheduleView[]>;
  schedule(id: string, request: ScheduleRequest): Promise<void>;
  unschedule(id: string, queue?: string): Promise<void>;
  close(): Promise<void>;
}

/** Whether a job in this state has ended. */
export function hasEnded(state: JobState): boolean {
  return state === "completed" || state === "failed" || state === "cancelled";
}
