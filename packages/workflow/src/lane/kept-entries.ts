/** Entries of at most this many characters are kept of a run that is in memory. */
const MAX_KEPT = 65_536;

/**
 * The last entries of a run in memory. If the engine loses its last writes, the owner stores them again; and while all of
 * them are here, a replay for a check asks the engine for none.
 */
export class KeptEntries {
  #first = 0;
  #size = 0;
  #entries: string[] = [];

  /** The number of entries of the history. */
  get length(): number {
    return this.#first + this.#entries.length;
  }

  push(entry: string): void {
    this.#entries.push(entry);
    this.#size += entry.length;
    if (this.#size <= MAX_KEPT) return;
    // The half goes at once, so that a long history does not move its entries at each tick.
    const gone = this.#entries.splice(0, Math.ceil(this.#entries.length / 2));
    this.#first += gone.length;
    for (const { length } of gone) this.#size -= length;
  }

  /** Returns the entries from a position on; undefined if some of them are not kept. */
  from(position: number): readonly string[] | undefined {
    return position < this.#first ? undefined : this.#entries.slice(position - this.#first);
  }
}
