import type { Lane, QueueCounts } from "@taskloom/queue";
import type {
  JobPage,
  JobQuery,
  JobSnapshot,
  JobState,
  RetryPage,
  RetryQuery,
} from "@taskloom/queue/operating";
import type { WorkerView } from "../workers/worker-view.ts";

export type { JobPage, JobState, RetryPage };

/** What went wrong, as it is shown. */
export interface ErrorView {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
}

/** One job as it is shown: a {@link JobSnapshot} with its error in a form for people. */
export interface JobView extends Omit<JobSnapshot, "error"> {
  readonly error?: ErrorView;
  /** Why nothing will run it for now, such as that no live worker serves its queue; of a job just submitted. */
  readonly notice?: string;
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
  /** How many live workers take jobs from it. */
  readonly workers: number;
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
  /** The latest ones, at most 1,000. */
  readonly ids: readonly string[];
}

/** Failures by error. One answer reads a bounded number of bytes, and names where the next goes on. */
export interface FailedPage {
  readonly groups: readonly FailedGroup[];
  /** How many failed jobs were looked at for this answer. */
  readonly searched: number;
  /** The cursor of the next answer; undefined when everything was looked at. */
  readonly next?: string;
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

/** The jobs that {@link Operations.jobs} looks for. */
export interface JobSearch extends Partial<JobQuery> {
  readonly queue?: string;
}

/** The jobs that {@link Operations.retryFailed} puts back. */
export interface RetrySearch extends RetryQuery {
  readonly queue?: string;
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
  /** Log lines from the `from`th on; a bounded number of bytes, and none when there are no more. */
  logs(id: string, from: number, queue?: string): Promise<readonly string[]>;
  cancel(id: string, reason: string, queue?: string): Promise<JobView>;
  /** Jobs, the last submitted first. One answer reads a bounded number of bytes; `next` goes on where it stopped. */
  jobs(search: JobSearch): Promise<JobPage<JobView>>;
  queues(): Promise<Readonly<Record<string, QueueView>>>;
  pause(queue: string, isPaused: boolean): Promise<void>;
  workers(): Promise<readonly WorkerView[]>;
  failed(queue?: string, cursor?: string): Promise<FailedPage>;
  retry(id: string, queue?: string): Promise<void>;
  /** Puts back up to 1,000 of the jobs that failed for good; `next` goes on with the others. */
  retryFailed(search: RetrySearch): Promise<RetryPage>;
  schedules(queue?: string): Promise<readonly ScheduleView[]>;
  schedule(id: string, request: ScheduleRequest): Promise<void>;
  unschedule(id: string, queue?: string): Promise<void>;
  close(): Promise<void>;
}

/** Whether a job in this state has ended. */
export function hasEnded(state: JobState): boolean {
  return state === "completed" || state === "failed" || state === "cancelled";
}
