import { Future } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import type { StreamSink } from "../pool/thread-task.ts";

/** The producing call, as a stream uses it. */
export interface Producer {
  readonly task: Task<unknown>;
  /** Lets the producer send a number of items more. */
  grant(items: number): void;
  stop(): void;
}

/**
 * The items of a generator on a thread, as the generator makes them. At most a window of items is under way or waits
 * here; then the producer waits. If the consumer leaves its loop, the producer is stopped and its `finally` runs.
 */
export class ThreadStream<T> implements AsyncIterableIterator<T> {
  readonly #producer: Producer;
  readonly #window: number;
  #items: T[] = [];
  #at = 0;
  /** The number of items that the consumer has taken and the producer was not granted again. */
  #takenCount = 0;
  #waiters: Future<IteratorResult<T>>[] = [];
  #isEnded = false;
  #isStopped = false;
  #error: { error: unknown } | undefined;

  constructor(window: number, start: (sink: StreamSink) => Producer) {
    this.#window = window;
    this.#producer = start({ window, onItem: (value) => this.#receive(value as T) });
    this.#producer.task.addDoneCallback(() => this.#finish());
  }

  /** The producing call. If it is cancelled, the stream ends with its CancelledError. */
  get task(): Task<unknown> {
    return this.#producer.task;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #receive(item: T): void {
    while (this.#waiters.length > 0) {
      const waiter = this.#waiters.shift()!;
      if (waiter.done()) continue;
      waiter.setResult({ value: item, done: false });
      this.#countTaken();
      return;
    }
    this.#items.push(item);
  }

  /** Grants half a window at a time, because an acknowledgement for each item would cost more than the item. */
  #countTaken(): void {
    if (++this.#takenCount * 2 < this.#window) return;
    this.#producer.grant(this.#takenCount);
    this.#takenCount = 0;
  }

  #finish(): void {
    this.#isEnded = true;
    const { task } = this.#producer;
    if (!this.#isStopped) {
      try {
        task.result();
      } catch (error) {
        this.#error = { error };
      }
    } else if (!task.cancelled()) {
      // This marks the exception as retrieved, since nobody reads the stream any more.
      task.exception();
    }
    for (const waiter of this.#waiters.splice(0)) if (!waiter.done()) this.#settleAtEnd(waiter);
  }

  #settleAtEnd(waiter: Future<IteratorResult<T>>): void {
    if (this.#error === undefined) {
      waiter.setResult({ value: undefined, done: true });
    } else {
      const { error } = this.#error;
      this.#error = undefined;
      waiter.setException(error);
    }
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#at < this.#items.length) {
      const value = this.#items[this.#at++]!;
      if (this.#at === this.#items.length) this.#dropItems();
      this.#countTaken();
      return Promise.resolve({ value, done: false });
    }
    // A future and not a promise, so that a task that is cancelled while it waits here receives its CancelledError.
    const waiter = new Future<IteratorResult<T>>();
    if (this.#isEnded) this.#settleAtEnd(waiter);
    else {
      waiter.addDoneCallback(() => {
        if (waiter.cancelled()) this.#stop();
      });
      this.#waiters.push(waiter);
    }
    return waiter as unknown as Promise<IteratorResult<T>>;
  }

  #dropItems(): void {
    this.#items = [];
    this.#at = 0;
  }

  #stop(): void {
    if (this.#isStopped || this.#isEnded) return;
    this.#isStopped = true;
    this.#dropItems();
    this.#producer.stop();
  }

  /** Stops the producer, and resolves when it has ended. */
  async return(): Promise<IteratorResult<T>> {
    if (!this.#isEnded) {
      this.#stop();
      await this.#producer.task.then(
        () => {},
        () => {},
      );
    }
    this.#dropItems();
    return { value: undefined, done: true };
  }
}
