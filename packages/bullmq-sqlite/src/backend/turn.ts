import type { JobJson, KeepJobs } from "bullmq";
import { bullmqError } from "../database/errors.ts";
import type { TurnEnd } from "../operations/end-batch.ts";
import type { UserCall } from "../operations/user-function.ts";
import type { TurnClaim, TurnDone } from "../operations/turn.ts";
import type { BackendOptions } from "./options.ts";
import { claimOf, keepOf } from "./runs.ts";

/** The end of a run, which is stored only under the lock that the token names. */
export interface RunEnd {
  readonly id: string;
  readonly token: string;
  readonly outcome: "completed" | "failed";
  /** The result as a JSON text, or the message of the failure. */
  readonly text: string;
  /** The stacktraces of a failed job, as a JSON text. */
  readonly stacktrace?: string | undefined;
  /** Milliseconds of the epoch. */
  readonly finishedOn: number;
  /** BullMQ's retention of the finished jobs of this outcome; true removes this job alone. */
  readonly keep: KeepJobs | true;
  /**
   * A function of yours that runs in the same step, behind all ends of the turn and before its claim, if this end is stored.
   * An error of the function undoes its own changes, and leaves the end.
   */
  readonly call?: UserCall | undefined;
}

/** The terms on which a worker takes jobs. */
export interface ClaimTerms {
  /** The greatest number of jobs. */
  readonly count: number;
  /** The token of their locks. */
  readonly token: string;
  /** Milliseconds; by default the option of the worker. */
  readonly lockDuration?: number;
  readonly workerName?: string | undefined;
}

/** The answer to a turn. */
export interface TurnAnswer {
  /** For each end, in order: undefined if it is stored, or BullMQ's error if it is refused. */
  readonly refusals: readonly (Error | undefined)[];
  /** For each end, in order: the error of its function. Absent if no function failed. */
  readonly callErrors?: readonly (Error | undefined)[];
  /** The jobs that were claimed, in their order. */
  readonly jobs: readonly { readonly id: string; readonly record: JobJson }[];
  /** The error of a claim that failed behind a job that was claimed before. */
  readonly claimFailure?: Error;
  /** The time for which a rate limit lets no job run, in milliseconds; 0 without one. */
  readonly limitedFor: number;
  /** The time at which the next delayed job is due, in milliseconds of the epoch; 0 if there is none. */
  readonly nextDue: number;
}

/** Returns an end as the database thread stores it. */
export function turnEndOf(
  { metrics }: BackendOptions,
  { id, token, outcome, text, stacktrace, finishedOn, keep, call }: RunEnd,
): TurnEnd {
  // A count of 0 without an age is BullMQ's other spelling on Redis.
  const removesThisJob = keep === true || (keep.count === 0 && !("age" in keep));
  return {
    id,
    token,
    outcome,
    text,
    stacktrace: stacktrace ?? null,
    finishedOn,
    keep: keepOf(removesThisJob ? true : keep),
    metrics: metrics?.maxDataPoints,
    ...(call && { call }),
  };
}

/** Returns a claim as the database thread executes it; undefined if no job is wanted. */
export function turnClaimOf(
  options: BackendOptions,
  { token, workerName, lockDuration = options.lockDuration }: ClaimTerms,
  count: number,
): TurnClaim | undefined {
  if (count <= 0) return undefined;
  const terms = lockDuration === undefined ? options : { ...options, lockDuration };
  return { ...claimOf(terms, token, workerName), count };
}

/** Returns the answer to a turn, behind the jobs that the worker had before. */
export function turnAnswerOf(
  ends: readonly RunEnd[],
  before: readonly JobJson[],
  { codes, failedCalls, jobs, limitedFor, nextDue }: TurnDone,
): TurnAnswer {
  const refusals = ends.map(({ id }, at) => {
    const code = codes[at] ?? 0;
    return code === 0
      ? undefined
      : bullmqError({ code, command: "moveToFinished", jobId: id, state: "active" });
  });
  const claimed = [...before, ...jobs].map((record) => ({ id: record.id, record }));
  const answer = { refusals, jobs: claimed, limitedFor, nextDue };
  if (failedCalls.length === 0) return answer;
  const errors = new Map(failedCalls);
  const callErrors = ends.map((_, at) => {
    const message = errors.get(at);
    return message === undefined ? undefined : new Error(message);
  });
  return { ...answer, callErrors };
}
