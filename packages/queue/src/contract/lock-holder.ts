/** A lane whose locks are held: the command that extends them, and the receiver of the bad news. */
export interface LockedLane {
  readonly name: string;
  /** The time for which a lock lasts, in milliseconds. */
  readonly lockDuration: number;
  /** Extends locks, and returns the ids of the jobs whose lock is lost. */
  extend(ids: string[], tokens: string[]): Promise<string[]>;
  onLost(id: string): void;
}

/** A lock that a run holds. */
export interface HeldLock {
  readonly id: string;
  readonly token: string;
}

/** The locks that the runs of one lane hold. */
export interface LaneLockHolder {
  /** Renews the lock of a job from now on, until it is released. */
  hold(id: string, token: string, name: string): HeldLock;
  release(lock: HeldLock): void;
  close(): void;
}

/** The renewal of the locks that one process holds. A worker opens it and passes it to the engine with each lane. */
export interface LockHolder {
  locksOf(lane: LockedLane): LaneLockHolder;
}
