import type { IQueueBackend } from "bullmq";

/** How a worker holds the jobs that it runs; all in milliseconds. See docs/decisions/0004-locks.md. */
export interface LockTerms {
  /** How long a lock lasts without being renewed. */
  readonly duration: number;
  /** How often workers look for jobs whose lock has lapsed. */
  readonly stalledInterval: number;
  /**
   * What the thread beside the loop does: it renews locks at `address`, or without one only watches whether the loop
   * stands still. Undefined where there is no such thread.
   */
  readonly renewal: { readonly address: RenewalAddress | undefined; readonly interval: number } | undefined;
}

/**
 * The way by which a thread of its own reaches the engine, to renew the locks of jobs while the event loop is blocked. An
 * open connection cannot be sent to a thread, so the thread imports a module of the engine and opens one.
 */
export interface RenewalAddress {
  /** The URL of a module that exports a {@link ConnectToRenew} as `connectToRenew`. */
  readonly module: string;
  /** The argument for that function; structured clone carries it to the thread. */
  readonly server: unknown;
}

/**
 * Connects to an engine's server from the renewing thread, and returns the backend of each queue. A command fails after
 * `patience` milliseconds without an answer, before the locks lapse.
 */
export type ConnectToRenew<Server> = (
  server: Server,
  queues: readonly string[],
  patience: number,
) => IQueueBackend[];

/**
 * Locks on a server that many processes share. A worker's death is noticed when its lock has lapsed and another worker
 * looks: after 7.5 to 9 seconds. A look is cheap on Redis, where one worker's look counts for all; on PostgreSQL it is a
 * query of its own. A connection that is lost for 5 seconds costs no lock, since at least 7.5 seconds of it are left at
 * any time.
 */
export function serverLocks(stalledInterval: number, address: RenewalAddress): LockTerms {
  return {
    duration: 8_000,
    stalledInterval,
    renewal: { address, interval: 500 },
  };
}

/**
 * Locks in a folder that the processes of one machine share. Each holds a lock file that the system releases when the
 * process dies, and the others take its jobs back at once; so a job's lock need not lapse while its process lives,
 * however long its loop stands still.
 */
export const FOLDER_LOCKS: LockTerms = {
  duration: 24 * 3_600_000,
  stalledInterval: 5_000,
  renewal: { address: undefined, interval: 1_000 },
};

/** Locks in this process's own memory: nothing outlives anything else. */
export const MEMORY_LOCKS: LockTerms = { ...FOLDER_LOCKS, renewal: undefined };
