/** The chunks of a `Prefetch`, and the work that is started for each of them. */
export interface PrefetchOptions<T, W extends PromiseLike<unknown>> {
  /** Returns the number of items of the next chunk. */
  readonly chunkSize: () => number;
  /** The number of chunks that are under way before the first of them is read. */
  readonly ahead: number;
  /** Starts the work of a chunk. A failure of the work is seen when the work is read. */
  readonly start: (chunk: T[]) => W;
}

/**
 * Reads a source of items in chunks, and starts the work of several chunks before the first result is read. The other
 * Taskloom packages build their `map` on it.
 *
 * ```ts
 * import { Prefetch } from "@taskloom/loop/prefetch";
 *
 * const sums = new Prefetch([1, 2, 3, 4, 5], {
 *   chunkSize: () => 2,
 *   ahead: 2,
 *   start: async (chunk: number[]) => chunk.reduce((a, b) => a + b, 0),
 * });
 * await sums.fill();
 * for (let sum = sums.take(); sum !== undefined; sum = sums.take()) {
 *   console.log(await sum); // 3 7 5
 *   await sums.fill();
 * }
 * ```
 */
export class Prefetch<T, W extends PromiseLike<unknown>> {
  readonly #source: Iterator<T> | AsyncIterator<T>;
  readonly #options: PrefetchOptions<T, W>;
  readonly #unread: W[] = [];
  #isExhausted = false;
  #isAbandoned = false;

  constructor(items: Iterable<T> | AsyncIterable<T>, options: PrefetchOptions<T, W>) {
    this.#source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
    this.#options = options;
  }

  /** True if no more items are read from the source. */
  get isExhausted(): boolean {
    return this.#isExhausted;
  }

  /**
   * Starts the work of chunks, up to the limit. Calls must not overlap.
   *
   * @throws the error of the source
   */
  async fill(): Promise<void> {
    while (!this.#isExhausted && this.#unread.length < this.#options.ahead) {
      const size = this.#options.chunkSize();
      const chunk: T[] = [];
      while (chunk.length < size) {
        const next = this.#source.next();
        const { value, done } = next instanceof Promise ? await next : next;
        if (done === true) {
          this.#isExhausted = true;
          break;
        }
        chunk.push(value);
      }
      if (chunk.length === 0 || this.#isAbandoned) return;
      const work = this.#options.start(chunk);
      // The reader sees a failure when the turn of the chunk comes. Until then it is not an unhandled rejection.
      work.then(undefined, () => {});
      this.#unread.push(work);
    }
  }

  /** Returns the work of the first chunk that was not read; undefined at the end of the source. */
  take(): W | undefined {
    return this.#unread.shift();
  }

  /** Starts no more work, and returns the work that was not read, so that the caller can cancel it. */
  abandon(): W[] {
    this.#isAbandoned = true;
    this.#isExhausted = true;
    return this.#unread.splice(0);
  }

  /** Closes the source: the `finally` blocks of its generator run. */
  async closeSource(): Promise<void> {
    await this.#source.return?.();
  }
}
