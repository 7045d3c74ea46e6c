import { createTask } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { decodeError } from "../boundary/error-transport.ts";
import type { EncodedError } from "../boundary/error-transport.ts";

/** What comes back for a chunk: the results up to the first that failed, and its error. */
export type ChunkResult = [results: unknown[], error: EncodedError | null];

/** A chunk is meant to take about this long, in milliseconds, where its size is not given. */
const CHUNK_TIME = 1;
const MAX_CHUNK = 4096;
/** Chunks that are under way for each thread: one runs, one waits. */
const DEPTH = 2;

/**
 * The results of `map`, in the order of the items. Iterate it, or take all with `toArray()`. What was not
 * read when the iteration stops is cancelled.
 */
export class ThreadMap<R> implements AsyncIterableIterator<R> {
  readonly #source: Iterator<unknown> | AsyncIterator<unknown>;
  readonly #start: (chunk: unknown[]) => Task<unknown>;
  readonly #size: () => number;
  readonly #ahead: number;
  readonly #pending: Task<unknown>[] = [];
  #results: unknown[] = [];
  #at = 0;
  #error: EncodedError | null = null;
  #exhausted = false;
  #busy: Promise<IteratorResult<R>> | undefined;

  constructor(
    items: Iterable<unknown> | AsyncIterable<unknown>,
    start: (chunk: unknown[]) => Task<unknown>,
    measure: () => number | undefined,
    fixed: boolean,
    width: number,
  ) {
    this.#source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
    this.#start = start;
    this.#ahead = width * DEPTH;
    this.#size = () => {
      const measured = measure();
      if (fixed) return measured!;
      // Nothing is known of the function yet: try it with one.
      if (measured === undefined) return 1;
      return Math.max(1, Math.min(MAX_CHUNK, Math.floor(CHUNK_TIME / measured)));
    };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<R>> {
    if (this.#busy === undefined && this.#at < this.#results.length)
      return Promise.resolve({ value: this.#results[this.#at++] as R, done: false });
    // Calls of `next` that overlap take their turns.
    const turn = this.#busy === undefined ? this.#advance() : this.#busy.then(() => this.next());
    const mine = turn.finally(() => {
      if (this.#busy === mine) this.#busy = undefined;
    });
    this.#busy = mine;
    return mine;
  }

  async #advance(): Promise<IteratorResult<R>> {
    try {
      return await this.#step();
    } catch (error) {
      this.#abandon();
      await this.#closeSource();
      throw error;
    }
  }

  async #step(): Promise<IteratorResult<R>> {
    for (;;) {
      if (this.#at < this.#results.length) return { value: this.#results[this.#at++] as R, done: false };
      if (this.#error !== null) {
        const error = decodeError(this.#error);
        this.#error = null;
        throw error;
      }
      await this.#fill();
      const task = this.#pending.shift();
      if (task === undefined) return { value: undefined, done: true };
      [this.#results, this.#error] = (await task) as ChunkResult;
      this.#at = 0;
    }
  }

  /** No more items are read: the `finally` blocks of their generator run. The map's own error counts. */
  async #closeSource(): Promise<void> {
    try {
      await this.#source.return?.();
    } catch {
      // See above.
    }
  }

  async #fill(): Promise<void> {
    while (!this.#exhausted && this.#pending.length < this.#ahead) {
      const size = this.#size();
      const chunk: unknown[] = [];
      while (chunk.length < size) {
        let next = this.#source.next();
        if (next instanceof Promise) next = await next;
        const { value, done } = next;
        if (done === true) {
          this.#exhausted = true;
          break;
        }
        chunk.push(value);
      }
      if (chunk.length > 0) {
        const task = this.#start(chunk);
        // A failure is told when its turn comes; until then nobody has to have seen it.
        task.then(undefined, () => {});
        this.#pending.push(task);
      }
    }
  }

  #abandon(): void {
    this.#exhausted = true;
    this.#results = [];
    for (const task of this.#pending.splice(0)) task.cancel("the map it belongs to has ended");
  }

  /** Ends the iteration: what is under way is cancelled. */
  async return(): Promise<IteratorResult<R>> {
    this.#abandon();
    await this.#source.return?.();
    return { value: undefined, done: true };
  }

  /** All results, as a Task. */
  toArray(): Task<R[]> {
    return createTask<R[]>(async () => {
      const all: R[] = [];
      let isComplete = false;
      try {
        for (;;) {
          // Whole chunks at a time.
          while (this.#at < this.#results.length) all.push(this.#results[this.#at++] as R);
          const next = await this.next();
          isComplete = next.done === true;
          if (next.done === true) return all;
          all.push(next.value);
        }
      } finally {
        // Cancelled: not waited for, because the source may be in the middle of an item.
        if (!isComplete) {
          this.#abandon();
          void this.#closeSource();
        }
      }
    });
  }
}
