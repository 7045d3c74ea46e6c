/** The number of consumed items whose texts are kept, to recognize them if the engine loses its last writes. */
const KEPT = 500;

/** The inbox of a run, as far as its owner has received it. Items are numbered over all histories of the run. */
export class RunInbox {
  #read: number;
  #items: string[] = [];
  /** The texts of the last consumed items. */
  #consumed: string[] = [];

  /** @param read the number of items that the run has consumed before. */
  constructor(read: number) {
    this.#read = read;
  }

  /** The number of items that the run has consumed. */
  get read(): number {
    return this.#read;
  }

  /** The number of items that the owner has received. */
  get known(): number {
    return this.#read + this.#items.length;
  }

  get hasNews(): boolean {
    return this.#items.length > 0;
  }

  /** Adds items that begin with the number `from`. Several answers may have the same ones. */
  receive(from: number, items: readonly string[]): void {
    if (from > this.known) return;
    for (let at = this.known - from; at < items.length; at++) this.#items.push(items[at]!);
  }

  /** Consumes all items that were received. */
  take(): readonly string[] {
    const items = this.#items;
    if (items.length === 0) return items;
    this.#items = [];
    this.#read += items.length;
    this.#consumed.push(...items);
    if (this.#consumed.length > 2 * KEPT) this.#consumed = this.#consumed.slice(-KEPT);
    return items;
  }

  /**
   * Follows an engine that has lost its last writes: it has consumed `read` items, and has `items` after them. Those that the
   * run has consumed meanwhile are consumed again, and all others are new.
   */
  rewind(read: number, items: readonly string[]): void {
    const again = this.#consumed.slice(Math.max(0, this.#consumed.length - Math.max(0, this.#read - read)));
    let same = 0;
    while (same < again.length && same < items.length && again[same] === items[same]) same++;
    this.#read = read + same;
    this.#items = items.slice(same);
  }
}
