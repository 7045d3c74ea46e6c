import { createTask } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import type { PackResult } from "../wire/pack.ts";

/** What came of one item: its value, or why there is none. */
export type Settled<R> = PromiseSettledResult<R>;

/** One pack of items on its way: which of them were sent, and which were refused before. */
export interface Pack {
  readonly size: number;
  readonly refused: ReadonlyMap<number, unknown>;
  /** Undefined when every item was refused. */
  readonly task: Task<PackResult> | undefined;
}

/** How packs are made and how many are under way at once. */
export interface RemoteMapOptions {
  /** Items that travel and run as one job. Default 500. */
  readonly chunkSize?: number;
  /** Packs that are under way before the first of them is read. Default 64. */
  readonly ahead?: number;
}

/**
 * The results of {@link TaskQueue.map}, in the order of the items. Iterating it throws the error of an item at its
 * place, and cancels the rest; {@link settled} goes on. What was not read when the iteration stops is cancelled.
 */
export class RemoteMap<R> implements AsyncIterableIterator<R> {
  readonly #source: Iterator<readonly unknown[]> | AsyncIterator<readonly unknown[]>;
  readonly #start: (chunk: readonly (readonly unknown[])[]) => Promise<Pack>;
  readonly #chunkSize: number;
  readonly #ahead: number;
  readonly #packs: Promise<Pack>[] = [];
  /** The pack whose results are awaited. */
  #reading: Promise<Pack> | undefined;
  #results: Settled<R>[] = [];
  #at = 0;
  #exhausted = false;
  #isOver = false;
  #busy: Promise<unknown> | undefined;

  /** Made by {@link TaskQueue.map}. */
  constructor(
    items: Iterable<readonly unknown[]> | AsyncIterable<readonly unknown[]>,
    start: (chunk: readonly (readonly unknown[])[]) => Promise<Pack>,
    { chunkSize = 500, ahead = 64 }: RemoteMapOptions,
  ) {
    this.#source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
    this.#start = start;
    this.#chunkSize = chunkSize;
    this.#ahead = ahead;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<R, undefined>> {
    try {
      const settled = await this.#nextSettled();
      if (settled === undefined) return { value: undefined, done: true };
      if (settled.status === "fulfilled") return { value: settled.value, done: false };
      throw settled.reason;
    } catch (error) {
      // An item's error, or that of the source of the items; it counts more than one of the source's clean-up.
      await this.return().catch(() => {});
      throw error;
    }
  }

  /** Every item's outcome, in order; a failed one does not end it. */
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

  /** All values, as a Task that fails with the first item's error. */
  toArray(): Task<R[]> {
    return createTask<R[]>(async () => {
      const all: R[] = [];
      try {
        for (;;) {
          // Whole packs at a time: a promise for each item would cost more than the item.
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
        // A task that is cancelled does not wait for the source's clean-up, which can be stuck in a `next`.
        void this.return().catch(() => {});
      }
    });
  }

  async #nextSettled(): Promise<Settled<R> | undefined> {
    // Calls that overlap take their turns.
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

  /** Brings in the next pack's results; false at the end. */
  async #load(): Promise<boolean> {
    await this.#fill();
    this.#reading = this.#packs.shift();
    const pack = await this.#reading;
    if (pack === undefined) return false;
    const results = await unpack<R>(pack);
    this.#reading = undefined;
    if (this.#isOver) return false;
    this.#results = results;
    this.#at = 0;
    return true;
  }

  async #fill(): Promise<void> {
    while (!this.#exhausted && this.#packs.length < this.#ahead) {
      const chunk: (readonly unknown[])[] = [];
      while (chunk.length < this.#chunkSize) {
        const next = this.#source.next();
        const { value, done } = next instanceof Promise ? await next : next;
        if (done === true) {
          this.#exhausted = true;
          break;
        }
        chunk.push(value);
      }
      if (chunk.length === 0 || this.#isOver) return;
      const pack = this.#start(chunk);
      pack.catch(() => {}); // Told when its turn comes.
      this.#packs.push(pack);
    }
  }

  /** Ends the iteration: what is under way is cancelled. */
  async return(): Promise<IteratorResult<R, undefined>> {
    this.#isOver = true;
    const hasMore = !this.#exhausted;
    this.#exhausted = true;
    this.#results = [];
    this.#at = 0;
    const underWay = [...(this.#reading === undefined ? [] : [this.#reading]), ...this.#packs.splice(0)];
    for (const pack of underWay) {
      void pack.then(
        ({ task }) => {
          task?.then(undefined, () => {}); // How it ends is no news to anybody.
          task?.cancel("the map it belongs to has ended");
        },
        () => {},
      );
    }
    if (hasMore) await this.#source.return?.();
    return { value: undefined, done: true };
  }
}

/** A pack's results in the order of its items. A pack that failed as a whole fails each of them. */
async function unpack<R>({ size, refused, task }: Pack): Promise<Settled<R>[]> {
  const results: Settled<R>[] = Array.from({ length: size });
  for (const [index, reason] of refused) results[index] = { status: "rejected", reason };
  if (task === undefined) return results;
  let sent: (index: number) => Settled<R>;
  try {
    const { values, errors } = await task;
    const failures = new Map(errors);
    sent = (index) =>
      failures.has(index)
        ? { status: "rejected", reason: failures.get(index) }
        : { status: "fulfilled", value: values[index] as R };
  } catch (reason) {
    sent = () => ({ status: "rejected", reason });
  }
  let index = 0;
  for (let at = 0; at < size; at++) if (results[at] === undefined) results[at] = sent(index++);
  return results;
}
