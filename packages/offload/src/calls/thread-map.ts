import { createTask } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { Prefetch } from "@taskloom/loop/prefetch";
import { decodeError } from "../boundary/error-transport.ts";
import type { EncodedError } from "../boundary/error-transport.ts";
import type { ChunkResult } from "../boundary/wire.ts";

/** The intended duration of a chunk, if its size is not set. */
const CHUNK_MS = 1;
const MAX_CHUNK = 4096;
/** The chunks under way for each thread: one runs, and one waits. */
const CHUNKS_PER_THREAD = 2;

/** The calls of a map. */
export interface ThreadMapOptions {
  /** Calls the function for each item of a chunk. The result is a {@link ChunkResult}. */
  readonly start: (chunk: unknown[]) => Task<unknown>;
  /** The number of items in a chunk; by default as many as take CHUNK_MS. */
  readonly chunkSize: number | undefined;
  /** Returns the recent duration of the function for one item, in milliseconds; undefined before its first call. */
  readonly meanDuration: () => number | undefined;
  /** The number of threads. */
  readonly width: number;
}

/**
 * The results of `map`, in the order of the items. Iterate it, or take all results with `toArray()`. If the iteration
 * stops early, the calls that were not read are cancelled.
 */
export class ThreadMap<R> implements AsyncIterableIterator<R> {
  readonly #chunks: Prefetch<unknown, Task<unknown>>;
  #results: R[] = [];
  #at = 0;
  #error: EncodedError | null = null;
  #busy: Promise<IteratorResult<R>> | undefined;

  constructor(items: Iterable<unknown> | AsyncIterable<unknown>, options: ThreadMapOptions) {
    const { start, chunkSize, meanDuration, width } = options;
    this.#chunks = new Prefetch(items, {
      start,
      ahead: width * CHUNKS_PER_THREAD,
      chunkSize: () => chunkSize ?? fittingSize(meanDuration()),
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<R>> {
    if (this.#busy === undefined && this.#at < this.#results.length)
      return Promise.resolve({ value: this.#results[this.#at++]!, done: false });
    // Overlapping calls of `next` take their turns.
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
      await this.#closeQuietly();
      throw error;
    }
  }

  async #step(): Promise<IteratorResult<R>> {
    for (;;) {
      if (this.#at < this.#results.length) return { value: this.#results[this.#at++]!, done: false };
      if (this.#error !== null) {
        const error = decodeError(this.#error);
        this.#error = null;
        throw error;
      }
      await this.#chunks.fill();
      const task = this.#chunks.take();
      if (task === undefined) return { value: undefined, done: true };
      // The thread's side of `start` returns chunk results; the type R is that of the function.
      [this.#results, this.#error] = (await task) as ChunkResult<R>;
      this.#at = 0;
    }
  }

  /** Closes the source. An error of the source is dropped, because the map fails with an error of its own. */
  async #closeQuietly(): Promise<void> {
    try {
      await this.#chunks.closeSource();
    } catch {
      // The error of the map is the reason for the end.
    }
  }

  #abandon(): void {
    this.#results = [];
    for (const task of this.#chunks.abandon()) task.cancel("the map it belongs to has ended");
  }

  /** Ends the iteration, and cancels the calls under way. */
  async return(): Promise<IteratorResult<R>> {
    this.#abandon();
    await this.#chunks.closeSource();
    return { value: undefined, done: true };
  }

  /** Returns a Task of all results. */
  toArray(): Task<R[]> {
    return createTask<R[]>(async () => {
      const all: R[] = [];
      let isComplete = false;
      try {
        for (;;) {
          // Whole chunks at a time, because a promise for each item would cost more than the item.
          while (this.#at < this.#results.length) all.push(this.#results[this.#at++]!);
          const next = await this.next();
          isComplete = next.done === true;
          if (next.done === true) return all;
          all.push(next.value);
        }
      } finally {
        // A cancelled task does not await the close, because the source can be in the middle of an item.
        if (!isComplete) {
          this.#abandon();
          void this.#closeQuietly();
        }
      }
    });
  }
}

/** Returns the number of items that take about CHUNK_MS. */
function fittingSize(duration: number | undefined): number {
  // The first chunk of an unknown function has one item.
  if (duration === undefined) return 1;
  return Math.max(1, Math.min(MAX_CHUNK, Math.floor(CHUNK_MS / duration)));
}
