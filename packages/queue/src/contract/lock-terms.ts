import type { LockTerms, RenewalAddress } from "./engine.ts";

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
export const folderLocks: LockTerms = {
  duration: 24 * 3_600_000,
  stalledInterval: 5_000,
  renewal: { address: undefined, interval: 1_000 },
};

/** Locks in this process's own memory: nothing outlives anything else. */
export const memoryLocks: LockTerms = { ...folderLocks, renewal: undefined };
