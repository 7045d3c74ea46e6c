import { randomUUID } from "node:crypto";

/** The answer of an engine to a cancel; `engines/redis/cancel-script.ts` describes the protocol. */
export type CancelAnswer =
  /** There is no record of the job. */
  | { readonly kind: "gone" }
  /** The job has ended, and its stored end stands. */
  | { readonly kind: "done" }
  /** The job is flagged, and the worker that runs it has been notified. */
  | { readonly kind: "running" }
  /** The cancel came too late: the run is sealed, and its end is being stored. */
  | { readonly kind: "sealed" }
  /** The job was not running. The canceller holds its lock now, under `token`, and has to end it. */
  | { readonly kind: "claimed"; readonly token: string };

/** A request to a worker to stop one particular run of a job. */
export interface CancelRequest {
  readonly id: string;
  /**
   * The token of the run's lock. Each claim of a worker has a new token, and the jobs of one claim share it. The count of
   * starts and the time of the start are parts of the run's name, too, because BullMQ's own workers use tokens again. A
   * later run is never stopped, not even the first run of a job that was added again under the same id.
   */
  readonly token: string;
  readonly attemptsStarted: number;
  readonly startedAt: number;
  readonly reason: string;
}

/** The answer of an engine to a worker that is about to end a run; see {@link Engine.seal}. */
export type SealAnswer =
  /** No cancel of this run is accepted any more. */
  | { readonly kind: "sealed" }
  /** A cancel was accepted before, so the job has to end as cancelled. */
  | { readonly kind: "cancelled"; readonly reason: string }
  /** The run has lost its lock: another worker has the job. */
  | { readonly kind: "lost" };

/** The start of BullMQ's deferred-failure field of a job that is cancelled. The reason follows it. */
export const CANCEL_FLAG = "tl:cx:";
/**
 * The start of the same field for a run that is sealed. The name of the run follows it. One field holds both, because
 * they exclude each other. A seal means nothing to a later run.
 */
export const SEAL_FLAG = "tl:seal:";

/** The time for which a canceller holds a job: enough to end it, and short if the canceller dies. */
export const CANCELLER_LOCK_MS = 2_000;

/** Returns the seal of a run, which names the run within its job. */
export function sealOf(token: string, attemptsStarted: number): string {
  return `${SEAL_FLAG}${token}#${attemptsStarted}`;
}

/** Returns the reason of a cancel that a deferred-failure field holds; undefined if the field holds none. */
export function cancelReasonIn(field: unknown): string | undefined {
  return typeof field === "string" && field.startsWith(CANCEL_FLAG)
    ? field.slice(CANCEL_FLAG.length)
    : undefined;
}

/** Returns a new token for the lock of a canceller. */
export function cancellerToken(): string {
  return `canceller-${randomUUID()}:0`;
}

/** Returns the id of the worker that made a token: tokens are `<worker id>:<number>`, as BullMQ's are. */
export function workerOfToken(token: string): string {
  return token.replace(/:\d+$/, "");
}
