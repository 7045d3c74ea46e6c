import { Future } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import type { StreamSink } from "../pool/thread-task.ts";

/** The producing call, as a stream uses it. */
export interface Producer {
  readonly task: Task<unknown>;
  grant(items: number): void;
  stop(): void;
}

/**
 * The items that a generator makes on a thread, as they are made. At most a window of them is under way or
 * waits here; then the producer waits. Leaving the loop ends the producer: its `finally` runs.
 */
export class ThreadStream<T> implements AsyncIterableIterator<T> {
  readonly #producer: Producer;
  readonly #window: number;
  #items: T[] = [];
  #at = 0;
  /** Taken by the consumer and not yet given back to the producer as room. */
  #taken = 0;
  #waiters: Future<IteratorResult<T>>[] = [];
  #ended = false;
  #stopped = false;
  #error: { error: unknown } | undefined;

  constructor(window: number, start: (sink: StreamSink) => Producer) {
    this.#window = window;
    this.#producer = start({ window, item: (value) => this.#receive(value as T) });
    this.#producer.task.addDoneCallback(() => this.#finish());
  }

  /** The producing call. Cancelling it ends the stream with its CancelledError. */
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
      this.#took();
      return;
    }
    this.#items.push(item);
  }

  /** Half a window at a time: an acknowledgement for each item would cost more than the item. */
  #took(): void {
    if (++this.#taken * 2 < this.#window) return;
    this.#producer.grant(this.#taken);
    this.#taken = 0;
  }

  #finish(): void {
    this.#ended = true;
    const { task } = this.#producer;
    if (!this.#stopped) {
      try {
        task.result();
      } catch (error) {
        this.#error = { error };
      }
    } else if (!task.cancelled()) {
      // Nobody reads any more; what it ended with was looked at.
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
      if (this.#at === this.#items.length) {
        this.#items = [];
        this.#at = 0;
      }
      this.#took();
      return Promise.resolve({ value, done: false });
    }
    // A future and not a promise: a task that is cancelled while it waits here has its CancelledError.
    const waiter = new Future<IteratorResult<T>>();
    if (this.#ended) this.#settleAtEnd(waiter);
    else {
      waiter.addDoneCallback(() => {
        if (waiter.cancelled()) this.#stop();
      });
      this.#waiters.push(waiter);
    }
    return waiter as unknown as Promise<IteratorResult<T>>;
  }

  #stop(): void {
    if (this.#stopped || this.#ended) return;
    this.#stopped = true;
    this.#items = [];
    this.#at = 0;
    this.#producer.stop();
  }

  /** Ends the producer, and waits until it has ended. */
  async return(): Promise<IteratorResult<T>> {
    if (!this.#ended) {
      this.#stop();
      await this.#producer.task.then(
        () => {},
        () => {},
      );
    }
    this.#items = [];
    this.#at = 0;
    return { value: undefined, done: true };
  }
}
