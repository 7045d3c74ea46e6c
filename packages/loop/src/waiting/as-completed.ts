import { TimeoutError } from "../errors.ts";
import type { Handle } from "../kernel/handle.ts";
import { getEventLoop } from "../task/running.ts";
import { Queue } from "../sync/queue.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { ensureFuture } from "../task/current.ts";
import type { Future } from "../task/future.ts";
import type { Startable } from "../task/open.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import { isRepeatable } from "./sleep.ts";

/** The options of `asCompleted`. */
export interface AsCompletedOptions extends SignalOption {
  /** Milliseconds after which a TimeoutError stands for each item that is not done. */
  timeout?: number | null | undefined;
}

/**
 * Work in the order in which it ends. In a `for … of` loop, each item is a coroutine that returns the next
 * outcome. In a `for await` loop, each item is the next future that is done, so the caller can recognise it.
 *
 * ```ts
 * import { AsCompleted, asCompleted, run, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const items = asCompleted([sleep(20, "slow"), sleep(1, "quick")]);
 *   console.log(items instanceof AsCompleted); // true
 *   for await (const future of items) console.log(future.result());
 * }); // quick, then slow
 * ```
 */
export class AsCompleted<T> {
  readonly #done = new Queue<Future<T> | null>();
  readonly #todo: Set<Future<T>>;
  readonly #signal: AbortSignal | undefined;
  #left: number;
  #timer: Handle | null = null;

  /** Made by the library. */
  constructor(work: Iterable<Startable<T>>, options: AsCompletedOptions) {
    const loop = getEventLoop();
    this.#signal = options.signal;
    const seen = new Set<Startable<T>>();
    this.#todo = new Set();
    for (const each of work) {
      if (seen.has(each)) continue;
      if (!isRepeatable(each)) seen.add(each);
      this.#todo.add(ensureFuture(each, { loop }));
    }
    this.#left = this.#todo.size;
    for (const future of this.#todo) future.addDoneCallback(this.#completed);
    const { timeout = null } = options;
    if (this.#todo.size > 0 && timeout !== null) this.#timer = loop.callLater(timeout, this.#expire);
  }

  readonly #completed = (future: Future<T>): void => {
    if (this.#todo.size === 0) return; // the timeout came first
    this.#todo.delete(future);
    this.#done.putNowait(future);
    if (this.#todo.size === 0) this.#timer?.cancel();
  };

  readonly #expire = (): void => {
    for (const future of this.#todo) {
      future.removeDoneCallback(this.#completed);
      this.#done.putNowait(null);
    }
    this.#todo.clear();
  };

  *#nextDone(): Generator<never, Future<T>, unknown> {
    const future = yield* this.#done.get();
    if (future === null) throw new TimeoutError();
    return future;
  }

  *[Symbol.iterator](): Generator<Coroutine<T>, void, unknown> {
    while (this.#left > 0) {
      this.#left--;
      yield routine("asCompleted", () => resultOf(this.#nextDone()), this.#signal);
    }
  }

  /** Returns an iterator by hand. An async generator would await the futures that it yields. */
  [Symbol.asyncIterator](): { next(): Coroutine<IteratorResult<Future<T>, undefined>> } {
    return { next: () => routine("asCompleted", () => this.#nextFuture(), this.#signal) };
  }

  *#nextFuture(): Generator<never, IteratorResult<Future<T>, undefined>, unknown> {
    if (this.#left === 0) return { done: true, value: undefined };
    this.#left--;
    // A future as the result itself would be awaited by the caller, so it travels in an object.
    return { done: false, value: yield* this.#nextDone() };
  }
}

function* resultOf<T>(inner: Generator<never, Future<T>, unknown>): Generator<never, T, unknown> {
  return (yield* inner).result();
}

/**
 * Runs work concurrently, and iterates over the outcomes in the order in which the work ends.
 *
 * ```ts
 * import { asCompleted, run, sleep } from "@taskloom/loop";
 *
 * await run(function* () {
 *   for (const next of asCompleted([sleep(20, "slow"), sleep(1, "quick")])) console.log(yield* next);
 * }); // quick, then slow
 * ```
 */
export function asCompleted<T>(
  work: Iterable<Startable<T>>,
  options: AsCompletedOptions = {},
): AsCompleted<T> {
  return new AsCompleted<T>(work, options);
}
