import type { Backoff, Deduplicate, Lane, QueueCounts } from "@taskloom/queue";
import type {
  Activity,
  ActivityQuery,
  CleanPage,
  CleanQuery,
  FailedRun,
  JobPage,
  JobQuery,
  JobSnapshot,
  JobState,
  PlacedTaskLimit,
  RateLimit,
  RetryPage,
  RetryQuery,
  ServingWorker,
} from "@taskloom/queue/operating";
import type { WorkerView } from "../workers/worker-view.ts";
import type { ErrorView } from "./error-view.ts";
import type { ShardsView } from "./known-shards.ts";
import type { RunOperations } from "./run-operations.ts";

export type { Activity, ErrorView, JobPage, JobState, RetryPage };

/** A job in the form for people and programs: a {@link JobSnapshot} with an {@link ErrorView}. */
export interface JobView extends Omit<JobSnapshot, "error" | "failures"> {
  readonly error?: ErrorView;
  /** The failed attempts, the first one first, if one job is read. */
  readonly failures?: readonly FailureView[];
  /** The reason why no worker runs the job for now, such as a queue without a live worker. Set after a submission. */
  readonly notice?: string;
}

/** The error of a failed attempt, with the attempt as far as its worker has stored it. */
export interface FailureView extends ErrorView, Omit<FailedRun, "error"> {}

/** The options of one submission. Durations are milliseconds. */
export interface SubmitRequest {
  readonly queue?: string;
  readonly id?: string;
  readonly delay?: number;
  readonly priority?: number;
  readonly attempts?: number;
  readonly timeout?: number;
  readonly deadline?: number;
  readonly backoff?: Backoff;
  readonly deduplicate?: string | Deduplicate;
  readonly tags?: readonly string[];
  /** The key under which the limits of the task count the job. */
  readonly limitKey?: string;
}

/** One queue with its lanes. */
export interface QueueView extends Readonly<Record<Lane, LaneCounts>> {
  readonly isPaused: boolean;
  /** The number of live workers that serve the queue. */
  readonly workers: number;
  /** The rate limit of each lane, if there is one. */
  readonly limit?: RateLimit;
}

/** The limits that {@link Operations.limits} reads. */
export interface LimitSearch {
  readonly queue?: string;
  /** Only limits of this task. */
  readonly task?: string;
  /** The greatest number of limits of tasks. */
  readonly limit?: number;
}

/** The limits of queues and of tasks. */
export interface LimitsView {
  /** The queues with a rate limit, which each lane of the queue has. */
  readonly queues: readonly QueueLimitView[];
  /** The limits of tasks that are in use. Those for which the most jobs wait come first. */
  readonly tasks: readonly TaskLimitView[];
  /** The number of limits of tasks that are in use, of which `tasks` has at most `limit`. */
  readonly total: number;
}

/** The rate limit of each lane of a queue. */
export interface QueueLimitView extends RateLimit {
  readonly queue: string;
}

/** A limit of a task with its queue. */
export interface TaskLimitView extends PlacedTaskLimit {
  readonly queue: string;
}

/** The jobs of one lane by state. */
export interface LaneCounts extends QueueCounts {
  /** The milliseconds that the oldest runnable job has waited. */
  readonly oldestWait: number;
}

/** Returns the number of jobs of one lane in all states. */
export function countAll({ waiting, active, delayed, completed, failed, cancelled }: LaneCounts): number {
  return waiting + active + delayed + completed + failed + cancelled;
}

/** Failed jobs with one kind of error. */
export interface FailedGroup {
  /** Equal keys of two pages are one group. */
  readonly key: string;
  readonly task: string;
  readonly error: ErrorView;
  readonly count: number;
  readonly lastAt: number;
  /** The ids of the latest jobs, at most 1,000. */
  readonly ids: readonly string[];
}

/** A page of the failed jobs by error. One page reads a bounded number of bytes. */
export interface FailedPage {
  readonly groups: readonly FailedGroup[];
  /** The number of failed jobs that were read for this page. */
  readonly searched: number;
  /** The cursor of the next page; undefined on the last page. */
  readonly next?: string;
}

/** A stored schedule. */
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
  readonly isPaused: boolean;
}

/** A schedule to store. */
export interface ScheduleRequest {
  readonly queue?: string;
  readonly task: string;
  readonly args: readonly unknown[];
  readonly cron?: string;
  /** Milliseconds. */
  readonly every?: number;
  readonly timezone?: string;
}

/** A search of {@link Operations.jobs}. */
export interface JobSearch extends Partial<JobQuery> {
  readonly queue?: string;
}

/** The jobs that {@link Operations.clean} removes. */
export interface CleanSearch extends CleanQuery {
  /** The `next` of an earlier page. */
  readonly cursor?: string;
}

/** The failed jobs that {@link Operations.retryFailed} retries. */
export interface RetrySearch extends RetryQuery {
  readonly queue?: string;
}

/**
 * The operations of an operator. The HTTP server works on an engine. The command line works on an engine, or through
 * the HTTP address of a service that has the engine.
 */
export interface Operations {
  /** The operations on durable runs. */
  readonly runs: RunOperations;
  submit(task: string, args: readonly unknown[], request?: SubmitRequest): Promise<JobView>;
  /** @throws {@link ServiceError} with the code `JOB_UNKNOWN` if the job does not exist. */
  job(id: string, queue?: string): Promise<JobView>;
  /** Returns the job after its end, or in its present state after `milliseconds`. */
  waitForEnd(id: string, milliseconds: number, queue?: string): Promise<JobView>;
  /** Returns log lines from line `from` on: a bounded number of bytes, and no line at the end of the log. */
  logs(id: string, from: number, queue?: string): Promise<readonly string[]>;
  cancel(id: string, reason: string, queue?: string): Promise<JobView>;
  /** Returns a page of jobs, the newest first. One page reads a bounded number of bytes; `next` continues it. */
  jobs(search: JobSearch): Promise<JobPage<JobView>>;
  queues(): Promise<Readonly<Record<string, QueueView>>>;
  pause(queue: string, isPaused: boolean): Promise<void>;
  /** Sets the rate limit of each lane of a queue; undefined lifts it. */
  limit(queue: string, limit: RateLimit | undefined): Promise<void>;
  /** Reads the limits of queues, and the limits of tasks that are in use. */
  limits(search: LimitSearch): Promise<LimitsView>;
  /** Cancels the waiting jobs of a queue, and with `delayed` the delayed ones, too; returns their number. */
  drain(queue: string, options: { readonly delayed: boolean }): Promise<number>;
  /** Returns the activity of one queue, or of all, over the last so many milliseconds. */
  activity(query: ActivityQuery & { readonly queue?: string }): Promise<Activity>;
  workers(): Promise<readonly WorkerView[]>;
  /** Reads the workers of programs that use the library, which store no more than what they serve. */
  otherWorkers(): Promise<readonly ServingWorker[]>;
  /** Returns the shards of the engine; none if it has no shards. */
  shards(): Promise<ShardsView>;
  failed(queue?: string, cursor?: string): Promise<FailedPage>;
  retry(id: string, queue?: string): Promise<void>;
  /** Removes a job that does not run, with all that is stored about it. A waiting or delayed job is cancelled first. */
  remove(id: string, queue?: string): Promise<void>;
  /** Removes up to 1,000 jobs of one state; `next` continues with the others. */
  clean(queue: string, query: CleanSearch): Promise<CleanPage>;
  /** Lets a delayed job run now. */
  promote(id: string, queue?: string): Promise<void>;
  /** Retries up to 1,000 failed jobs; `next` continues with the others. */
  retryFailed(search: RetrySearch): Promise<RetryPage>;
  schedules(queue?: string): Promise<readonly ScheduleView[]>;
  schedule(id: string, request: ScheduleRequest): Promise<void>;
  /** Runs a schedule once more now, and returns the id of the job. */
  runNow(id: string, queue?: string): Promise<string>;
  pauseSchedule(id: string, isPaused: boolean, queue?: string): Promise<void>;
  unschedule(id: string, queue?: string): Promise<void>;
  close(): Promise<void>;
}

/** Returns whether a job in this state has ended. */
export function hasEnded(state: JobState): boolean {
  return state === "completed" || state === "failed" || state === "cancelled";
}
