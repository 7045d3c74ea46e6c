/** The times and the renewal of a worker's locks, in milliseconds. docs/decisions/0004-locks.md has the reasons. */
export interface LockTerms {
  /** The time for which a lock lasts without renewal. */
  readonly duration: number;
  /** The interval at which workers check for jobs whose lock has lapsed. */
  readonly stalledInterval: number;
  /**
   * The time until the next check of a lane that had no running job at the last one: a job that began since then keeps its
   * lock for longer. Undefined if the checks also find jobs whose lock has not lapsed.
   */
  readonly restingInterval?: number;
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

/** Renews locks of one lane. */
export interface LockExtender {
  /**
   * Makes locks last for `duration` milliseconds from now, and returns the ids of the jobs whose lock is lost.
   *
   * @param tokens the token of each lock, in the order of the ids.
   */
  extend(ids: readonly string[], tokens: readonly string[], duration: number): Promise<string[]>;
}

/**
 * Connects to an engine's server from the renewing thread, and returns the extender of each queue. A command fails after
 * `patience` milliseconds without an answer, before the locks lapse. The module loads little, and so no BullMQ: the thread
 * starts with the first job of a worker, and closing waits for it.
 */
export type ConnectToRenew<Server> = (
  server: Server,
  queues: readonly string[],
  patience: number,
) => LockExtender[];

/**
 * Returns the locks of a server that many processes share. A worker's death is noticed when its lock has lapsed and another
 * worker checks, after 7 to 9 seconds. A connection that is lost for 5 seconds costs no lock, since at least 7 seconds of
 * each lock are left at any time.
 *
 * @param stalledInterval the interval of the checks. A check is cheap on Redis, where one worker checks for all; on
 *   PostgreSQL every worker sends a query of its own.
 */
export function serverLocks(stalledInterval: number, address: RenewalAddress): LockTerms {
  const duration = 8_000;
  return {
    duration,
    stalledInterval,
    // BullMQ recovers a job at the second check that finds it, so one check comes before the first lock can lapse.
    restingInterval: duration - 2 * stalledInterval,
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
