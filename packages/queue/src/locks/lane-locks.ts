import type { HeldLock, LaneLockHolder, LockedLane } from "../contract/lock-holder.ts";
import type { LockTable } from "./lock-table.ts";

/** The thread that renews the locks in a table. */
export interface RenewingThread {
  readonly queue: number;
  readonly table: LockTable;
  /**
   * `begin` starts the thread, once. `renews` is false until the thread has begun to renew, and once it has ended.
   * `interval` is the one at which the loop renews until then; undefined if the thread renews no locks.
   */
  readonly thread: { readonly renews: boolean; readonly interval: number | undefined; begin(): void };
}

/** A lock that a run of this lane holds. */
interface RunLock extends HeldLock {
  /** The place in the thread's table; undefined if there was no room. */
  readonly slot: number | undefined;
  /** The sequence of the table's entry. */
  readonly sequence: number | undefined;
  /** Milliseconds of the monotonic clock. */
  renewedAt: number;
}

/** The locks that the runs of one lane hold. The loop renews those that no thread renews. */
export class LaneLocks implements LaneLockHolder {
  readonly #lane: LockedLane;
  readonly #thread: RenewingThread | undefined;
  readonly #held = new Set<RunLock>();
  /** The interval of the loop's renewals, in milliseconds. */
  readonly #interval: number;
  /** Undefined while no lock is held, since a timer costs an idle worker processor time. */
  #timer: NodeJS.Timeout | undefined;
  #isRenewing = false;

  constructor(lane: LockedLane, thread?: RenewingThread) {
    this.#lane = lane;
    this.#thread = thread;
    this.#interval = thread?.thread.interval ?? lane.lockDuration / 4;
  }

  hold(id: string, token: string, name: string): RunLock {
    const slot = this.#thread?.table.put(this.#thread.queue, id, token, name);
    this.#thread?.thread.begin();
    const sequence = slot === undefined ? undefined : this.#thread?.table.sequenceOf(slot);
    const lock = { id, token, slot, sequence, renewedAt: performance.now() };
    this.#held.add(lock);
    this.#timer ??= setInterval(() => void this.#renew(), this.#interval).unref();
    return lock;
  }

  release(lock: RunLock): void {
    if (this.#held.delete(lock) && lock.slot !== undefined) this.#thread?.table.remove(lock.slot);
  }

  /**
   * Called if the thread could not renew an entry of its table. The entry and not the job shows which run lost its lock: the
   * next attempt of the job can have begun here while the end of this one was being stored, which needs no lock any more.
   */
  lost(id: string, sequence: number): void {
    if (this.#newestOf(id)?.sequence === sequence) this.#lane.onLost(id);
  }

  #newestOf(id: string): RunLock | undefined {
    return [...this.#held].findLast((lock) => lock.id === id);
  }

  /** Renews the locks that the thread does not renew. */
  async #renew(): Promise<void> {
    if (this.#held.size === 0) return this.#stop();
    if (this.#isRenewing) return;
    const now = performance.now();
    const isDue = ({ slot, renewedAt }: RunLock): boolean =>
      (slot === undefined || this.#thread?.thread.renews !== true) && now - renewedAt >= this.#interval / 2;
    const due = [...this.#held].filter(isDue);
    if (due.length === 0) return;
    for (const lock of due) lock.renewedAt = now;
    this.#isRenewing = true;
    try {
      const lost = await this.#lane.extend(
        due.map(({ id }) => id),
        due.map(({ token }) => token),
      );
      for (const id of lost) {
        const lock = this.#newestOf(id);
        if (lock !== undefined && due.includes(lock)) this.#lane.onLost(id);
      }
    } catch {
      for (const lock of due) lock.renewedAt = -Infinity; // The next round renews again.
    } finally {
      this.#isRenewing = false;
    }
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  close(): void {
    this.#stop();
    for (const lock of this.#held) this.release(lock);
  }
}
