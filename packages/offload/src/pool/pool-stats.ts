import type { TimeSummary } from "./time-histogram.ts";

/** The state of a pool, and its counts since the pool was made. */
export interface PoolStats {
  /** Threads that can take calls, the spare ones included. */
  readonly threads: number;
  readonly starting: number;
  /** Threads with calls. */
  readonly busy: number;
  /** Threads that were asked to end and have not ended, because a native call that cannot be interrupted holds them. */
  readonly zombies: number;
  /** Calls that wait for a thread. */
  readonly queued: number;
  /** Calls on threads, begun or about to begin. */
  readonly running: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Threads that were ended because a call did not stop by itself. */
  readonly killed: number;
  /** Threads that ended by themselves. */
  readonly died: number;
  /** Threads that were replaced because of their age, their heap, or an error that escaped on them. */
  readonly recycled: number;
  /** The times from the submission of a call to its start on a thread, of the calls that have completed or failed there. */
  readonly waitTime: TimeSummary;
  /** The times from the start of a call to its end on a thread, of the same calls. */
  readonly runTime: TimeSummary;
}

/** The part of the stats that a pool counts. */
export type PoolCounts = {
  -readonly [K in "completed" | "failed" | "cancelled" | "killed" | "died" | "recycled"]: PoolStats[K];
};
