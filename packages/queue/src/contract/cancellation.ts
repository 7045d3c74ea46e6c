/** What the engine says of a job that somebody wants cancelled; see `engines/redis/cancel-script.ts`. */
export type CancelAnswer =
  /** There is no record of it. */
  | { readonly kind: "gone" }
  /** It has ended; what is stored stands. */
  | { readonly kind: "done" }
  /** It is flagged, and the worker that runs it was told. */
  | { readonly kind: "running" }
  /** Not accepted: its run was sealed before, and its end is being stored. */
  | { readonly kind: "sealed" }
  /** It was not running: the canceller holds it now, under `token`, and has to end it. */
  | { readonly kind: "claimed"; readonly token: string };

/** A request to a worker to stop one particular run of a job. */
export interface CancelRequest {
  readonly id: string;
  /**
   * The lock's token, the count of starts and the moment of this one: together they name one run, so that a later run
   * is never hit, not even the first run of a job that was added again under the id. BullMQ uses tokens again.
   */
  readonly token: string;
  readonly attemptsStarted: number;
  readonly startedAt: number;
  readonly reason: string;
}

/** What the engine says to a worker that is about to end a run; see {@link Engine.seal}. */
export type SealAnswer =
  /** No cancel of this run is accepted any more. */
  | { readonly kind: "sealed" }
  /** A cancel was accepted before, so the job has to end as cancelled. */
  | { readonly kind: "cancelled"; readonly reason: string }
  /** The run has lost its lock: somebody else has the job. */
  | { readonly kind: "lost" };

/** The text of BullMQ's deferred-failure field that marks a job as cancelled; the reason follows it. */
export const CANCEL_FLAG = "tl:cx:";
/**
 * The text of the same field that marks a run as sealed; the run follows it. One field for both, since they exclude
 * each other. A seal is of no meaning to a later run.
 */
export const SEAL_FLAG = "tl:seal:";

/** A run's name within its job. */
export function sealOf(token: string, attemptsStarted: number): string {
  return `${SEAL_FLAG}${token}#${attemptsStarted}`;
}
