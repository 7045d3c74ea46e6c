import type { Claim, Claimed } from "../operations/claim.ts";
import { endsWait, hasNothing, moveToActive } from "../operations/claim.ts";
import type { Store } from "../store/store.ts";
import type { SentClaim } from "./messages.ts";

/** A message from the main thread can be this old before its time counts as another clock's. */
const MAX_MESSAGE_TIME_MS = 10_000;

interface Awaited {
  readonly id: number;
  readonly queue: string;
  readonly claim: Claim;
  /** When the next delayed job of the queue is due, as its worker knows it; 0: there is none. */
  readonly due: number;
}

/**
 * The workers of this process that wait for a job. When a queue has work, this thread claims a job for each of them:
 * a worker that were woken to ask by itself would cost two more hops between the threads, and would often find that
 * another process was faster.
 */
export class AwaitedClaims {
  readonly #store: Store;
  /** How far the main thread's clock is ahead. */
  #clockOffset = 0;
  /** In the order in which they came. */
  readonly #waiting = new Map<number, Awaited>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Adopts the main thread's clock if it differs from this thread's clock, as the simulated clock of a test does. */
  followClock(now: number): void {
    const offset = now - Date.now();
    this.#clockOffset = Math.abs(offset) > MAX_MESSAGE_TIME_MS ? offset : 0;
  }

  /** Returns whether a worker waits for one of these queues; for any queue without an argument. */
  isAwaited(queues?: readonly string[]): boolean {
    if (this.#waiting.size === 0 || queues === undefined) return this.#waiting.size > 0;
    return [...this.#waiting.values()].some(({ queue }) => queues.includes(queue));
  }

  /** Returns answers without a claim for all workers that wait for these queues. */
  all(queues?: readonly string[]): SentClaim[] {
    const waiting = [...this.#waiting.values()];
    return waiting.filter(({ queue }) => queues?.includes(queue) ?? true).map(({ id }) => [id]);
  }

  /** Lets a worker wait. Returns its first news: when the next delayed job is due, or that the queue may have work. */
  add(id: number, queue: string, claim: Claim): SentClaim | undefined {
    this.#store.refresh();
    const nothing = hasNothing(this.#store, queue, claim);
    if (nothing === undefined) return [id];
    const [, , , due] = nothing;
    this.#waiting.set(id, { id, queue, claim, due });
    return due > 0 ? [id, nothing] : undefined;
  }

  /** Returns whether the worker still waited. */
  remove(id: number): boolean {
    return this.#waiting.delete(id);
  }

  /**
   * Claims jobs for the workers that wait for these queues, within a transaction. A worker has its answer when the
   * transaction is stored: {@link AwaitedClaims.settle} is called then.
   */
  claim(queues?: Iterable<string>): SentClaim[] {
    const named = queues === undefined ? undefined : new Set(queues);
    /** The queues without a job, and when their next delayed jobs are due. */
    const dueOf = new Map<string, number>();
    const claims: SentClaim[] = [];
    for (const { id, queue, claim, due } of this.#waiting.values()) {
      if (named?.has(queue) === false) continue;
      const known = dueOf.get(queue);
      const claimed = known === undefined ? this.#attempt(queue, claim) : nothingUntil(known);
      if (claimed === undefined) claims.push([id]);
      else if (endsWait(claimed)) claims.push([id, claimed]);
      else {
        const nextDue = claimed[3];
        dueOf.set(queue, nextDue);
        if (nextDue > 0 && nextDue !== due) claims.push([id, claimed]);
      }
    }
    return claims;
  }

  /** Returns undefined if the claim fails: the worker asks by itself then, and receives the error. */
  #attempt(queue: string, claim: Claim): Claimed | undefined {
    try {
      const now = Date.now() + this.#clockOffset;
      return this.#store.operation(() => moveToActive(this.#store, queue, { ...claim, now }));
    } catch (error) {
      if (!this.#store.database.isTransaction) throw error; // SQLite has rolled all of it back.
      return undefined;
    }
  }

  /** Takes note of news that their workers receive. */
  settle(claims: readonly SentClaim[]): void {
    for (const [id, claimed] of claims) {
      const awaited = this.#waiting.get(id);
      if (claimed === undefined || endsWait(claimed)) this.#waiting.delete(id);
      else if (awaited !== undefined) this.#waiting.set(id, { ...awaited, due: claimed[3] });
    }
  }
}

const nothingUntil = (due: number): Claimed => [null, "", 0, due];
