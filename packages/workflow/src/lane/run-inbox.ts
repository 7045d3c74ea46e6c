import { isDistinct } from "../journal/entry.ts";

/** The number of consumed items whose texts are kept, to recognize them if the engine loses its last writes. */
const KEPT = 500;
const NONE: ReadonlySet<string> = new Set();

/** The inbox of a run, as far as its owner has received it. Items are numbered over all histories of the run. */
export class RunInbox {
  #read: number;
  #items: string[] = [];
  /** The texts of the last consumed items. */
  #consumed: string[] = [];
  /** Items that the run has consumed and the engine has lost. Their senders may send them again, behind others. */
  #lost = NONE;

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
    // Items that the run has consumed already are no news.
    if (this.#lost.size > 0 && this.#items.every((item) => this.#lost.has(item))) this.take();
  }

  /** Consumes all items that were received, and returns those that the run has not consumed before. */
  take(): readonly string[] {
    const items = this.#items;
    if (items.length === 0) return items;
    this.#items = [];
    this.#read += items.length;
    this.#consumed.push(...items);
    if (this.#consumed.length > 2 * KEPT) this.#consumed = this.#consumed.slice(-KEPT);
    return this.#lost.size === 0 ? items : items.filter((item) => !this.#lost.has(item));
  }

  /**
   * Follows an engine that has lost its last writes: it has consumed `read` items, and has `items` after them. Those that the
   * run has consumed meanwhile are consumed again, and all others are new.
   *
   * An item with a key is recognized by its text, wherever it is. One without is the run's only in its old place.
   */
  rewind(read: number, items: readonly string[]): void {
    const first = Math.max(0, this.#consumed.length - Math.max(0, this.#read - read));
    const again = this.#consumed.splice(first);
    let same = 0;
    while (same < again.length && same < items.length && again[same] === items[same]) same++;
    this.#consumed.push(...again.slice(0, same));
    this.#lost = new Set([...this.#lost, ...again.filter(isDistinct)]);
    this.#read = read + same;
    this.#items = [];
    this.receive(this.#read, items.slice(same));
  }
}
