/**
 * Waiters in the order of their arrival. A waiter leaves from the front when it is served, and from any place
 * when it is cancelled. Removing the first waiter costs the same for every length of the list.
 */
export class WaitList<W extends object> {
  /** Made for the first waiter: a primitive that no task waits for is small. */
  #waiters: Set<W> | null = null;

  get size(): number {
    return this.#waiters?.size ?? 0;
  }

  add(waiter: W): void {
    this.#waiters ??= new Set();
    this.#waiters.add(waiter);
  }

  delete(waiter: W): boolean {
    return this.#waiters?.delete(waiter) === true;
  }

  first(): W | undefined {
    if (this.#waiters === null) return undefined;
    for (const waiter of this.#waiters) return waiter;
    return undefined;
  }

  shift(): W | undefined {
    const waiter = this.first();
    if (waiter !== undefined) this.#waiters!.delete(waiter);
    return waiter;
  }

  [Symbol.iterator](): Iterator<W> {
    return (this.#waiters ?? []).values();
  }
}
