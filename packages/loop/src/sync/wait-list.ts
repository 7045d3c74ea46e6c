/**
 * Waiters in the order of their arrival. A waiter leaves from the front when it is served, and from any place
 * when it is cancelled. Removing the first waiter costs the same for every length of the list.
 */
export class WaitList<W extends object> {
  readonly #waiters = new Set<W>();

  get size(): number {
    return this.#waiters.size;
  }

  add(waiter: W): void {
    this.#waiters.add(waiter);
  }

  delete(waiter: W): boolean {
    return this.#waiters.delete(waiter);
  }

  first(): W | undefined {
    for (const waiter of this.#waiters) return waiter;
    return undefined;
  }

  shift(): W | undefined {
    const waiter = this.first();
    if (waiter !== undefined) this.#waiters.delete(waiter);
    return waiter;
  }

  [Symbol.iterator](): SetIterator<W> {
    return this.#waiters.values();
  }
}
