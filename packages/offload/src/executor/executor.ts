import type { Executor, Task } from "@taskloom/loop";
import type { Life, LifeState } from "@taskloom/loop/lifecycle";
import type { AnyFunction } from "../boundary/callable.ts";
import { checkCallOptions } from "../calls/call-options.ts";
import type { StreamCallOptions } from "../calls/call-options.ts";
import { map, stream, submit, submitter } from "../calls/make-call.ts";
import type { MapOptions, Resolved, Streamed, Submitter, ThreadedFunction } from "../calls/signatures.ts";
import type { ThreadMap } from "../calls/thread-map.ts";
import type { ThreadStream } from "../calls/thread-stream.ts";
import { checkOptionNames } from "../check-options.ts";
import { Pool } from "../pool/pool.ts";
import type { PoolStats } from "../pool/pool-stats.ts";
import { defaultOptions } from "./pool-options.ts";
import type { ThreadPoolOptions } from "./pool-options.ts";

const pools = new WeakMap<ThreadPoolExecutor, Pool>();

/** Returns the pool of an executor. */
export function poolOf(executor: ThreadPoolExecutor): Pool {
  return pools.get(executor)!;
}

/**
 * Runs functions on threads; each call is a Task.
 *
 * Piscina starts, limits and ends the threads. Calls of one priority start in the order in which they are made. A
 * cancellation ends its call and nothing else, and a thread that dies fails only the call that ran there. An idle pool
 * does not keep the process alive.
 *
 * @throws {@link ArgumentError} for an unknown option
 * @throws RangeError for a value out of range
 *
 * ```ts
 * import { ThreadPoolExecutor } from "@taskloom/offload";
 *
 * await using pool = new ThreadPoolExecutor({ maxThreads: 2 });
 * const squares = await Promise.all([1, 2, 3].map((n) => pool.submit((x: number) => x * x, n)));
 * console.log(squares); // [1, 4, 9]
 * ```
 */
export class ThreadPoolExecutor implements Executor, Submitter, Life {
  readonly #pool: Pool;

  constructor(options: ThreadPoolOptions = {}) {
    this.#pool = new Pool(defaultOptions(options));
    pools.set(this, this.#pool);
  }

  /** `open` while the pool takes calls; `stopped` when its threads are gone. */
  get state(): LifeState {
    return this.#pool.state;
  }

  /**
   * Runs `fn(...args)` on a thread.
   *
   * @throws {@link NotThreadableError} if no thread can find the function
   * @throws {@link UncloneableError} if an argument cannot cross
   * @throws {@link ThreadRecursionError} if a module that a thread imports makes the call at its top level
   * @throws {@link QueueFull} if as many calls wait as `maxQueue` allows
   * @throws {@link PoolClosedError} if the pool was shut down
   */
  submit<A extends unknown[], T>(
    fn: (...args: A) => Generator<unknown, T, never>,
    ...args: A
  ): Task<Awaited<T>>;
  submit<A extends unknown[], R>(fn: (...args: A) => R, ...args: A): Task<Awaited<R>>;
  submit(fn: (...args: unknown[]) => unknown, ...args: unknown[]): Task<unknown> {
    return submit(this.#pool, fn, args, undefined, this.submit);
  }

  /**
   * Calls `fn` once for each item, many items in a message, and returns the results in the order of the items. Items
   * are read only as far ahead as there are threads for them.
   */
  map<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options: MapOptions = {},
  ): ThreadMap<Resolved<R>> {
    return map(this.#pool, fn, items, options, undefined, this.map);
  }

  /**
   * Runs a generator function, or a function that returns an iterable, on a thread, and returns the items as they are
   * made. The producer is at most a window of items ahead, and stops when the consumer stops.
   */
  stream<A extends unknown[], R>(fn: ThreadedFunction<A, R>, ...args: A): ThreadStream<Streamed<R>>;
  stream<A extends unknown[], R>(fn: (...args: A) => R, ...args: A): ThreadStream<Streamed<R>>;
  stream(fn: AnyFunction, ...args: unknown[]): ThreadStream<unknown> {
    return stream(this.#pool, fn, args, undefined, this.stream);
  }

  /**
   * Returns this pool with options for the calls that are made through the returned object.
   *
   * @throws {@link ArgumentError} for an unknown option
   * @throws RangeError for a value out of range
   */
  with(options: StreamCallOptions): Submitter {
    checkCallOptions(options);
    const pool = this.#pool;
    return submitter(() => pool, options);
  }

  /** Returns the state of the pool, and its counts. */
  stats(): PoolStats {
    return this.#pool.stats();
  }

  /**
   * Takes no more calls, waits for the calls that were made, and ends the threads.
   *
   * @param options `cancelPending` cancels the calls that no thread has begun. `cancelRunning` cancels the other calls,
   * too, and ends the threads of calls that do not stop within `cancelGrace`.
   */
  shutdown(options: { cancelPending?: boolean; cancelRunning?: boolean } = {}): Promise<void> {
    checkOptionNames(options, { cancelPending: true, cancelRunning: true }, "shutdown");
    const { cancelPending = false, cancelRunning = false } = options;
    return this.#pool.shutdown({ cancelPending, cancelRunning });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }
}
