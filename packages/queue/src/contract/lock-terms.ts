import type { IQueueBackend } from "bullmq";

/** The times and the renewal of a worker's locks, in milliseconds. docs/decisions/0004-locks.md has the reasons. */
export interface LockTerms {
  /** The time for which a lock lasts without renewal. */
  readonly duration: number;
  /** The interval at which workers check for jobs whose lock has lapsed. */
  readonly stalledInterval: number;
  /**
   * The work of the thread beside the loop. The thread renews locks at `address`; without an address it only detects that
   * the loop is blocked. Undefined if there is no such thread.
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
 * Returns the locks of a server that many processes share. A worker's death is noticed when its lock has lapsed and another
 * worker checks, after 7.5 to 9 seconds. A connection that is lost for 5 seconds costs no lock, since at least 7.5 seconds
 * of each lock are left at any time.
 *
 * @param stalledInterval the interval of the checks. A check is cheap on Redis, where one worker checks for all; on
 *   PostgreSQL every worker sends a query of its own.
 */
export function serverLocks(stalledInterval: number, address: RenewalAddress): LockTerms {
  return {
    duration: 8_000,
    stalledInterval,
    renewal: { address, interval: 500 },
  };
}

/**
 * The locks in a folder that the processes of one machine share. Each process holds a lock file that the system releases
 * when the process dies, and the others recover its jobs at once. A job's lock therefore need not lapse while its process
 * lives, however long its loop is blocked.
 */
export const FOLDER_LOCKS: LockTerms = {
  duration: 24 * 3_600_000,
  stalledInterval: 5_000,
  renewal: { address: undefined, interval: 1_000 },
};

/** The locks in this process's own memory, which end with the jobs. */
export const MEMORY_LOCKS: LockTerms = { ...FOLDER_LOCKS, renewal: undefined };
