import { availableParallelism } from "node:os";
import { currentDeadline, getRunningLoop } from "@taskloom/loop";
import type { Executor, Task } from "@taskloom/loop";
import { ThreadTask } from "../pool/thread-task.ts";
import type { Special, StreamSink } from "../pool/thread-task.ts";
import type { Callback } from "../boundary/callbacks.ts";
import { captureStack } from "../calls/caller.ts";
import { packLuggage } from "../boundary/carrier.ts";
import { checkOptionNames } from "../check-options.ts";
import type { OptionNames } from "../check-options.ts";
import { captureContext } from "../boundary/context.ts";
import { refOf } from "../pool/function-ref.ts";
import type { FunctionRef } from "../pool/function-ref.ts";
import { isSimple, pack } from "../boundary/value-transport.ts";
import { Pool } from "../pool/pool.ts";
import type { PoolOptions, PoolStats } from "../pool/pool.ts";
import { checkRecursion } from "../boundary/recursion.ts";
import { sharedClockOffset } from "../boundary/slots.ts";
import { THREAD_OPTIONS } from "../pool/supervisor.ts";
import type { ThreadOptions } from "../pool/supervisor.ts";
import { ThreadMap } from "../calls/thread-map.ts";
import { ThreadStream } from "../calls/thread-stream.ts";

/** How a pool is made. Names that Piscina has mean what they mean there. Times are milliseconds. */
export interface ThreadPoolOptions extends ThreadOptions {
  /** Threads that are kept even when there is nothing to do. Default 0. */
  minThreads?: number;
  /**
   * Calls that run at the same time, at most. Default: asyncio's, four more than there are cores, 32 at most
   * (or `minThreads`, where that is more). Threads are started as calls need them.
   */
  maxThreads?: number;
  /**
   * Threads kept warm beyond those that run something: they take over at once where a call had to be killed
   * or demand grows. Default 1.
   */
  spareThreads?: number;
  /** A thread beyond `minThreads` ends after so long with nothing to do. Default 10,000. */
  idleTimeout?: number;
  /** Calls that may wait for a thread; one more throws `QueueFull`. Default: no bound. */
  maxQueue?: number;
  /** A call that was asked to stop has this long to do it by itself; then its thread is ended. Default 100. */
  cancelGrace?: number;
  /** A thread is replaced after so many calls. Default: never. */
  maxTasksPerThread?: number;
  /** A thread whose heap holds more than so many MB after a call is replaced. Default: never. */
  recycleHeapMb?: number;
}

/** What can be said of one call. Times are milliseconds. */
export interface CallOptions {
  /** Higher ones run first; a lower one that was passed over 16 times has its turn. Default 0. */
  priority?: number;
  /** Ends the call with a `TimeoutError` when it has run for so long. Waiting does not count. */
  timeout?: number;
  /** Ends the call with a `TimeoutError` when no thread has begun it after so long. */
  queueTimeout?: number;
  /** Cancels the call. */
  signal?: AbortSignal;
  /** The task's name. */
  name?: string;
}

/** What awaiting a function's result gives: the promised value, or what a generator coroutine returns. */
export type Resolved<R> = R extends Generator<unknown, infer T> ? Awaited<T> : Awaited<R>;

/** Runs a function on a thread, as a Task of what it gives in the end. */
export interface Submit {
  <A extends unknown[], T>(fn: (...args: A) => Generator<unknown, T, never>, ...args: A): Task<Awaited<T>>;
  <A extends unknown[], R>(fn: (...args: A) => R, ...args: A): Task<Awaited<R>>;
}

declare const made: unique symbol;

/** A function of a threaded module: a Task of what it gives; its type still knows what it makes over there. */
export interface ThreadedFunction<A extends unknown[], R> {
  (...args: A): Task<Resolved<R>>;
  /** Only a type. */
  readonly [made]: R;
}

/** Runs a producer on a thread. */
export interface StreamFrom {
  <A extends unknown[], R>(fn: ThreadedFunction<A, R>, ...args: A): ThreadStream<Streamed<R>>;
  <A extends unknown[], R>(fn: (...args: A) => R, ...args: A): ThreadStream<Streamed<R>>;
}

/** What one run of a producer gives one by one. */
export type Streamed<R> =
  Awaited<R> extends AsyncIterable<infer T> ? T : Awaited<R> extends Iterable<infer T> ? T : never;

/** A pool with options for the calls made through it. */
export interface Submitter {
  readonly submit: Submit;
  map<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options?: { chunkSize?: number },
  ): ThreadMap<Resolved<R>>;
  readonly stream: StreamFrom;
}

const DEFAULTS = {
  minThreads: 0,
  spareThreads: 1,
  idleTimeout: 10_000,
  maxQueue: Infinity,
  cancelGrace: 100,
  maxTasksPerThread: Infinity,
  recycleHeapMb: Infinity,
} as const;

const DEFAULT_WINDOW = 256;

const POOL_OPTIONS: OptionNames<ThreadPoolOptions> = {
  minThreads: true,
  maxThreads: true,
  spareThreads: true,
  idleTimeout: true,
  maxQueue: true,
  cancelGrace: true,
  maxTasksPerThread: true,
  recycleHeapMb: true,
  ...THREAD_OPTIONS,
};
const CALL_OPTIONS: OptionNames<CallOptions & { window?: number }> = {
  priority: true,
  timeout: true,
  queueTimeout: true,
  signal: true,
  name: true,
  window: true,
};

const pools = new WeakMap<ThreadPoolExecutor, Pool>();

/** The pool behind an executor. */
export function poolOf(executor: ThreadPoolExecutor): Pool {
  return pools.get(executor)!;
}

/**
 * Runs functions on threads; each call is a Task.
 *
 * Piscina starts, limits and ends the threads. Calls start in the order they are made (within a priority),
 * cancelling one ends that one and nothing else, and a thread that dies takes only the call with it that ran
 * there. An idle pool does not keep the process alive.
 *
 * @throws ArgumentError for options that do not exist, RangeError for values that make no sense
 *
 * ```ts
 * import { ThreadPoolExecutor } from "@taskloom/offload";
 *
 * await using pool = new ThreadPoolExecutor({ maxThreads: 2 });
 * const squares = await Promise.all([1, 2, 3].map((n) => pool.submit((x: number) => x * x, n)));
 * console.log(squares); // [1, 4, 9]
 * ```
 */
export class ThreadPoolExecutor implements Executor, Submitter {
  readonly #pool: Pool;

  constructor(options: ThreadPoolOptions = {}) {
    this.#pool = new Pool(defaultOptions(options));
    pools.set(this, this.#pool);
  }

  /**
   * Runs `fn(...args)` on a thread.
   *
   * @throws NotThreadableError when no thread could find the function
   * @throws UncloneableError when an argument cannot cross
   * @throws ThreadRecursionError when a module that a thread imports makes the call at its top level
   * @throws QueueFull, PoolClosedError
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
   * Calls `fn` once for each item, many items a message, and gives the results in the order of the items.
   * Items are read only as far ahead as threads are there for them.
   *
   * @param options `chunkSize`: items a message; by default as many as take about a millisecond
   */
  map<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options: { chunkSize?: number } = {},
  ): ThreadMap<Resolved<R>> {
    return map(this.#pool, fn, items, options, undefined, this.map);
  }

  /**
   * Runs a generator function (or one that returns an iterable) on a thread and gives its items as they are
   * made. The producer is at most a window of items ahead, and stops when the consumer does.
   */
  stream<A extends unknown[], R>(fn: ThreadedFunction<A, R>, ...args: A): ThreadStream<Streamed<R>>;
  stream<A extends unknown[], R>(fn: (...args: A) => R, ...args: A): ThreadStream<Streamed<R>>;
  stream(fn: AnyFunction, ...args: unknown[]): ThreadStream<unknown> {
    return stream(this.#pool, fn, args, undefined, this.stream);
  }

  /** This pool, with options for the calls made through what is returned. `window`: of streams, 256. */
  with(options: CallOptions & { window?: number }): Submitter {
    checkCallOptions(options);
    const pool = this.#pool;
    return submitter(() => pool, options);
  }

  /** What the pool is doing. */
  stats(): PoolStats {
    return this.#pool.stats();
  }

  /**
   * Takes no more calls, waits for those that were made, and ends the threads.
   *
   * @param options `cancelPending`: cancels the calls that no thread has begun; `cancelRunning`: cancels the
   * others too, and ends the threads of those that do not stop within `cancelGrace`
   */
  shutdown(options: { cancelPending?: boolean; cancelRunning?: boolean } = {}): Promise<void> {
    checkOptionNames(options, { cancelPending: true, cancelRunning: true }, "shutdown");
    return this.#pool.shutdown(options.cancelPending === true, options.cancelRunning === true);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }
}

/** Calls with options, on whatever pool is the right one when they are made. */
export function submitter(pool: () => Pool, options: CallOptions & { window?: number }): Submitter {
  return {
    submit(fn: AnyFunction, ...args: unknown[]): Task<never> {
      return submit(pool(), fn, args, options, this.submit) as Task<never>;
    },
    map(fn, items, mapOptions = {}) {
      return map(pool(), fn, items, mapOptions, options, this.map);
    },
    stream(fn: AnyFunction, ...args: unknown[]): ThreadStream<never> {
      return stream<never>(pool(), fn, args, options, this.stream);
    },
  };
}

type AnyFunction = (...args: never[]) => unknown;
type Below = AnyFunction;

export function submit(
  pool: Pool,
  fn: AnyFunction,
  args: unknown[],
  options: CallOptions | undefined,
  below: Below,
): Task<unknown> {
  return makeCall(pool, refOf(fn, below), args, options, below, false, null);
}

function map<T, R>(
  pool: Pool,
  fn: (item: T) => R,
  items: Iterable<T> | AsyncIterable<T>,
  mapOptions: { chunkSize?: number },
  options: CallOptions | undefined,
  below: Below,
): ThreadMap<Resolved<R>> {
  checkOptionNames(mapOptions, { chunkSize: true }, "map");
  const { chunkSize } = mapOptions;
  if (chunkSize !== undefined && !(Number.isInteger(chunkSize) && chunkSize > 0))
    throw new RangeError(`Expected \`chunkSize\` to be a positive integer, got ${String(chunkSize)}`);
  const ref = refOf(fn, below);
  return new ThreadMap<Resolved<R>>(
    items,
    (chunk) => makeCall(pool, ref, [chunk], options, below, true, null),
    () => chunkSize ?? ref.meanDuration,
    chunkSize !== undefined,
    pool.width,
  );
}

function stream<T>(
  pool: Pool,
  fn: AnyFunction,
  args: unknown[],
  options: (CallOptions & { window?: number }) | undefined,
  below: Below,
): ThreadStream<T> {
  const ref = refOf(fn, below);
  const window = options?.window ?? DEFAULT_WINDOW;
  return new ThreadStream<T>(window, (sink) => {
    const call = makeCall(pool, ref, args, options, below, false, sink);
    return {
      task: call,
      grant: (count) => call.thread?.grant(call, count),
      stop: () => pool.stopStream(call),
    };
  });
}

function makeCall(
  pool: Pool,
  ref: FunctionRef,
  args: unknown[],
  options: CallOptions | undefined,
  below: Below,
  each: boolean,
  sink: StreamSink | null,
): ThreadTask {
  checkRecursion(ref.address, ref.label);
  pool.admit();
  let sent = args;
  let special: Special | null = null;
  const needed = (): Special =>
    (special ??= {
      patches: null,
      transfer: null,
      callbacks: null,
      each,
      stream: sink,
      context: undefined,
      luggage: undefined,
      deadline: undefined,
      name: options?.name,
    });
  if (each || sink !== null || options?.name !== undefined) needed();
  if (!args.every(isSimple)) {
    let callbacks: Callback[] | null = null;
    const packed = pack(args, "arguments", (fn) => (callbacks ??= []).push(fn) - 1);
    sent = packed.value as unknown[];
    if (packed.patches !== null || packed.transfer !== null) {
      const more = needed();
      more.patches = packed.patches;
      more.transfer = packed.transfer;
      more.callbacks = callbacks;
    }
  }
  const context = captureContext();
  if (context !== undefined) needed().context = context;
  const luggage = packLuggage();
  if (luggage !== undefined) needed().luggage = luggage;
  const deadline = currentDeadline();
  if (deadline !== undefined) needed().deadline = toSharedClock(deadline);
  const call = new ThreadTask(pool, ref, sent, options?.priority ?? 0, special, options?.name);
  if (ref.stacks > 0) {
    ref.stacks--;
    call.callerStack = captureStack(below);
  }
  if (options !== undefined) applyOptions(pool, call, options);
  if (!call.ended) pool.add(call);
  return call;
}

function toSharedClock(deadline: number): number {
  return deadline - getRunningLoop().time() + performance.now() + sharedClockOffset;
}

function applyOptions(pool: Pool, call: ThreadTask, options: CallOptions): void {
  call.timeout = options.timeout;
  const { signal } = options;
  if (signal !== undefined) {
    if (signal.aborted) {
      call.cancel(String(signal.reason));
    } else {
      const abort = (): void => {
        call.cancel(String(signal.reason));
      };
      signal.addEventListener("abort", abort, { once: true });
      call.addDoneCallback(() => signal.removeEventListener("abort", abort));
    }
  }
  if (options.queueTimeout !== undefined && !call.ended) pool.limitQueueing(call, options.queueTimeout);
}

/** @throws ArgumentError for options that do not exist, RangeError for values that make no sense */
export function checkCallOptions(options: CallOptions & { window?: number }): void {
  checkOptionNames(options, CALL_OPTIONS, "a call to a thread");
  expectNumber("priority", options.priority, -Infinity);
  expectNumber("timeout", options.timeout, 0);
  expectNumber("queueTimeout", options.queueTimeout, 0);
  expectNumber("window", options.window, 1);
}

function expectNumber(name: string, value: number | undefined, least: number): void {
  if (value !== undefined && !(typeof value === "number" && value >= least))
    throw new RangeError(`Expected \`${name}\` to be a number of at least ${least}, got ${String(value)}`);
}

/**
 * The rule of Python's `ThreadPoolExecutor`: calls that block without computing need more threads than there
 * are cores, and threads that nothing needs are never started.
 */
export function defaultThreads(cores: number): number {
  return Math.min(32, cores + 4);
}

/** The options that have a value: an explicit undefined leaves the default in place. */
function given<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/** Checks options and fills in what is not given. */
export function defaultOptions(options: ThreadPoolOptions): PoolOptions {
  checkOptionNames(options, POOL_OPTIONS, "a thread pool");
  const maxThreads =
    options.maxThreads ?? Math.max(defaultThreads(availableParallelism()), options.minThreads ?? 0);
  const filled = { ...DEFAULTS, ...given(options), maxThreads };
  expectNumber("maxThreads", filled.maxThreads, 1);
  expectNumber("minThreads", filled.minThreads, 0);
  for (const name of ["spareThreads", "idleTimeout", "maxQueue", "cancelGrace"] as const)
    expectNumber(name, filled[name], 0);
  for (const name of ["maxTasksPerThread", "recycleHeapMb"] as const) expectNumber(name, filled[name], 1);
  if (filled.minThreads > filled.maxThreads)
    throw new RangeError(
      `Expected \`minThreads\` to be at most \`maxThreads\` (${filled.maxThreads}), got ${filled.minThreads}`,
    );
  return filled;
}
