import type { LockManager, Worker } from "bullmq";

/** BullMQ's lock manager, which can also leave the renewal of single locks to a thread. */
export interface HeldLocks extends LockManager {
  /** Puts a job's lock into the thread's care and returns its slot; undefined if there is no room for it. */
  hold(id: string, token: string, name: string): number | undefined;
  /** Ends the thread's care for the lock of a slot. */
  release(slot: number): void;
}

/** The renewal of the locks that one process holds. A worker opens it and passes it to the engine with each lane. */
export interface LockHolder {
  /** Returns the lock manager for a BullMQ worker. */
  managerFor(worker: Worker): HeldLocks;
}
