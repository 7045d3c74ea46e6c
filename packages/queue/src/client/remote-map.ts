import { createTask } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { Prefetch } from "@taskloom/loop/prefetch";
import { recordAttempt } from "../wire/failed-attempt.ts";
import type { PackError, PackResult } from "../wire/pack.ts";
import type { RemoteTask } from "./remote-task.ts";

/** The outcome of one item: its value or its error. */
export type Settled<R> = PromiseSettledResult<R>;

/** One pack of items after it was submitted. */
export interface Pack<R> {
  /** The number of items, refused ones included. */
  readonly size: number;
  /** The errors of items that were not sent, by their index. */
  readonly refused: ReadonlyMap<number, unknown>;
  /** The job of the other items; undefined if every item was refused. */
  readonly task: RemoteTask<PackResult<R>> | undefined;
  /** The name of the task that each item calls. */
  readonly name: string;
}

/** The options of {@link TaskQueue.map}. */
export interface RemoteMapOptions {
  /** The number of items that travel and run as one job. Default 500. */
  readonly chunkSize?: number;
  /** The number of packs that are submitted before the first of them is read. Default 64. */
  readonly ahead?: number;
}

/**
 * The results of {@link TaskQueue.map}, in the order of the items. An iteration throws the error of an item at its
 * place and cancels the rest; {@link settled} continues after an error. When an iteration stops, all items without a
 * read result are cancelled.
 */
export class RemoteMap<R> implements AsyncIterableIterator<R> {
  readonly #packs: Prefetch<unknown, Promise<Pack<R>>>;
  /** The pack whose results are awaited. */
  #reading: Promise<Pack<R>> | undefined;
  #results: Settled<R>[] = [];
  #at = 0;
  #isOver = false;
  #busy: Promise<unknown> | undefined;

  /** Called by {@link TaskQueue.map}. */
  constructor(
    items: Iterable<unknown> | AsyncIterable<unknown>,
    start: (chunk: readonly unknown[]) => Promise<Pack<R>>,
    { chunkSize = 500, ahead = 64 }: RemoteMapOptions,
  ) {
    this.#packs = new Prefetch(items, { start, ahead, chunkSize: () => chunkSize });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Resolves with the value of the next item. Rejects with the item's error, which ends the iteration. */
  async next(): Promise<IteratorResult<R, undefined>> {
    try {
      const settled = await this.#nextSettled();
      if (settled === undefined) return { value: undefined, done: true };
      if (settled.status === "fulfilled") return { value: settled.value, done: false };
      throw settled.reason;
    } catch (error) {
      // The error of an item or of the source is thrown, and a later error of the source's clean-up is dropped.
      await this.return().catch(() => {});
      throw error;
    }
  }

  /** Yields the outcome of every item, in order. An item that fails does not end the iteration. */
  async *settled(): AsyncGenerator<Settled<R>, void, undefined> {
    try {
      for (;;) {
        const settled = await this.#nextSettled();
        if (settled === undefined) return;
        yield settled;
      }
    } finally {
      await this.return();
    }
  }

  /** Returns a task with all values. It fails with the error of the first item that failed. */
  toArray(): Task<R[]> {
    return createTask<R[]>(async () => {
      const all: R[] = [];
      try {
        for (;;) {
          // A whole pack is read at a time, since a promise for each item would cost more than the item.
          for (; this.#at < this.#results.length; this.#at++) {
            const settled = this.#results[this.#at]!;
            if (settled.status === "rejected") break;
            all.push(settled.value);
          }
          const next = await this.next();
          if (next.done === true) return all;
          all.push(next.value);
        }
      } finally {
        // A cancelled task does not wait for the clean-up of the source, which can be stuck in a `next`.
        void this.return().catch(() => {});
      }
    });
  }

  async #nextSettled(): Promise<Settled<R> | undefined> {
    // Calls that overlap run one after the other.
    while (this.#busy !== undefined) await this.#busy;
    if (this.#at === this.#results.length) {
      const loading = this.#load();
      this.#busy = loading.catch(() => {});
      try {
        if (!(await loading)) return undefined;
      } finally {
        this.#busy = undefined;
      }
    }
    return this.#results[this.#at++];
  }

  /** Loads the results of the next pack. Resolves with false at the end. */
  async #load(): Promise<boolean> {
    await this.#packs.fill();
    this.#reading = this.#packs.take();
    const pack = await this.#reading;
    if (pack === undefined) return false;
    const results = await unpack<R>(pack);
    this.#reading = undefined;
    if (this.#isOver) return false;
    this.#results = results;
    this.#at = 0;
    return true;
  }

  /** Ends the iteration and cancels the packs that have not ended. */
  async return(): Promise<IteratorResult<R, undefined>> {
    this.#isOver = true;
    const hasMore = !this.#packs.isExhausted;
    this.#results = [];
    this.#at = 0;
    const pending = [...(this.#reading === undefined ? [] : [this.#reading]), ...this.#packs.abandon()];
    for (const pack of pending) {
      void pack.then(
        ({ task }) => {
          task?.then(undefined, () => {}); // Nobody awaits the outcome any more.
          task?.cancel("The map of this pack has ended");
        },
        () => {},
      );
    }
    if (hasMore) await this.#packs.closeSource();
    return { value: undefined, done: true };
  }
}

/** Resolves with the results of a pack in the order of its items. If the pack as a whole failed, each item has failed. */
async function unpack<R>({ size, refused, task, name }: Pack<R>): Promise<Settled<R>[]> {
  const results: Settled<R>[] = Array.from({ length: size });
  for (const [index, reason] of refused) results[index] = { status: "rejected", reason };
  if (task === undefined) return results;
  let sent: (index: number) => Settled<R>;
  try {
    const { values, errors, attempts = 1 } = await task;
    const failures = new Map(errors.map((failure): [number, PackError] => [failure[0], failure]));
    sent = (index) => {
      const failure = failures.get(index);
      if (failure === undefined) return { status: "fulfilled", value: values[index]! };
      const [, reason, attempt] = failure;
      if (attempt !== undefined)
        recordAttempt(reason, { id: task.id, task: name, attempt, attempts: Math.max(attempt, attempts) });
      return { status: "rejected", reason };
    };
  } catch (reason) {
    sent = () => ({ status: "rejected", reason });
  }
  let index = 0;
  for (let at = 0; at < size; at++) if (results[at] === undefined) results[at] = sent(index++);
  return results;
}
