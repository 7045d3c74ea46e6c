import type { JobJson, JobsOptions, KeepJobs } from "bullmq";
import type { NewJob } from "./lane-queue.ts";

/** The delivery of the end of a job to the durable run that waits for it. */
export interface EndDelivery {
  /** The name of the lane of the run at the engine. */
  readonly lane: string;
  /** The id under which the run is stored. */
  readonly id: string;
  /** The item for the inbox of the run, a JSON text. */
  readonly item: string;
  /** The name of the delivery, as `RunJournal.deliver` takes it. */
  readonly key: string;
}

/** The end of one run, which is stored only under the lock that the token names. */
export interface RunEnd {
  readonly id: string;
  readonly token: string;
  readonly outcome: "completed" | "failed";
  /** The result as a JSON text, or the message of the failure. */
  readonly text: string;
  /** The stacktraces of a failed job, as a JSON text; undefined for a job that completed. */
  readonly stacktrace: string | undefined;
  /** Milliseconds of the epoch. */
  readonly finishedOn: number;
  /** BullMQ's retention of the finished jobs of this outcome; true removes this job alone. */
  readonly keep: KeepJobs | true;
  /** The job's own options: its attempts, and the consequences of a failure for its parent. */
  readonly opts: Pick<
    JobsOptions,
    | "attempts"
    | "failParentOnFailure"
    | "continueParentOnFailure"
    | "ignoreDependencyOnFailure"
    | "removeDependencyOnFailure"
  >;
  /** The delivery of the end, if a durable run waits for it. */
  readonly delivery?: EndDelivery | undefined;
}

/** The greatest number of jobs of one claim: other workers wait for the engine meanwhile. */
export const MAX_CLAIMED = 128;

/** The greatest number of ends that one turn stores, for the same reason. */
export const MAX_ENDS = 64;

/** The terms on which a worker takes jobs. */
export interface ClaimTerms {
  /** The greatest number of jobs. */
  readonly count: number;
  /** The token of their locks. */
  readonly token: string;
  /** Milliseconds. */
  readonly lockDuration: number;
  readonly workerName: string | undefined;
}

/** A job that was claimed, as BullMQ stores it. */
export interface ClaimedRecord {
  readonly id: string;
  readonly record: JobJson;
}

/** The answer to a turn. */
export interface TurnAnswer {
  /** For each end, in order: undefined if it is stored, or the error with which the engine refused it. */
  readonly refusals: readonly (Error | undefined)[];
  /** For each end, in order: whether its delivery was executed in the step that stored it. Absent if none was. */
  readonly delivered?: readonly boolean[] | undefined;
  readonly jobs: readonly ClaimedRecord[];
  /** The error with which the claim failed, or failed after it had taken some jobs. */
  readonly claimFailure?: Error | undefined;
  /** The time for which a rate limit lets no job run, in milliseconds; 0 without one. */
  readonly limitedFor: number;
  /** The time at which the next delayed job is due, in milliseconds of the epoch; 0 if there is none. */
  readonly nextDue: number;
}

/** The turns of one lane. */
export interface LaneTurns {
  /** The greatest number of jobs that the next turn should claim; without it, as many as the worker has room for. */
  readonly claimLimit?: number;
  /**
   * Stores the ends of runs, and then claims jobs, in one step. A turn without ends or without a claim is allowed. The
   * command leaves within the microtasks of the call. A claim that takes fewer jobs than asked has left none that can run.
   *
   * The delivery of an end is executed in the same step, before the claim, with the result of `RunJournal.deliver`. It never
   * fails the end: a run that is gone or has ended needs none, and a run whose inbox is full finds the end by itself. A
   * driver that cannot deliver, or whose delivery has failed, says so in {@link TurnAnswer.delivered}. The caller then
   * delivers the end by a command of its own.
   *
   * @throws if nothing was stored, or if it is not known whether the turn was.
   */
  turn(ends: readonly RunEnd[], claim: ClaimTerms | undefined): Promise<TurnAnswer>;
  /** Notifies another worker that waits for jobs of the lane, after this worker has received news of jobs and has no place for them. */
  passNewsOn?(): Promise<void>;
}

/**
 * The storage of one lane below the consumer: the operations on the path of every job, each for many jobs in one step.
 *
 * @remarks
 * In the interface are the operations whose cost every job pays. Everything else, such as retries, hand-backs, schedules and
 * the recovery of jobs, goes through BullMQ's own commands. A driver stores exactly the data of BullMQ, so BullMQ's Queue,
 * Worker, QueueEvents and other clients can use the same queue at the same time.
 *
 * Deliberately out of the interface: tasks, outcomes and decisions. A driver never repeats a turn by itself.
 */
export interface LaneDriver extends LaneTurns {
  /**
   * Adds jobs in their order, and returns the id of each: the id of an existing job if the job was a duplicate.
   *
   * @throws if none was added, or if it is not known which ones were.
   */
  add(jobs: readonly NewJob[]): Promise<(string | Error)[]>;
}
