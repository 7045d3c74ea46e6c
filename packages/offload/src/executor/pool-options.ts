import { availableParallelism } from "node:os";
import { checkOptionNames, expectNumber } from "../check-options.ts";
import type { OptionNames } from "../check-options.ts";
import type { PoolOptions } from "../pool/pool.ts";
import { THREAD_OPTIONS } from "../pool/supervisor.ts";
import type { ThreadOptions } from "../pool/supervisor.ts";

/** Options of a pool. Options that Piscina has mean the same as there. Times are milliseconds. */
export interface ThreadPoolOptions extends ThreadOptions {
  /** The threads that are kept without calls. Default 0. */
  minThreads?: number;
  /**
   * The most calls that run at the same time. The default is asyncio's: the number of cores and four, at most 32; or
   * `minThreads`, if that is more. Threads are started as calls need them.
   */
  maxThreads?: number;
  /**
   * The idle threads that are kept beside the threads that run calls. They take over at once when a thread is killed
   * or demand grows. Default 1.
   */
  spareThreads?: number;
  /** The time after which an idle thread beyond `minThreads` ends. Default 10,000. */
  idleTimeout?: number;
  /** The most calls that wait for a thread; one more throws `QueueFull`. Default: no limit. */
  maxQueue?: number;
  /** The time that a call has to stop by itself before its thread is ended. Default 100. */
  cancelGrace?: number;
  /** The number of calls after which a thread is replaced. Default: no limit. */
  maxTasksPerThread?: number;
  /** The size of the heap, in MB after a call, above which a thread is replaced. Default: no limit. */
  recycleHeapMb?: number;
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

/**
 * Returns the default number of threads, by the rule of Python's `ThreadPoolExecutor`. Calls that block without
 * computing need more threads than there are cores, and threads that no call needs are never started.
 */
export function defaultThreads(cores: number): number {
  return Math.min(32, cores + 4);
}

/** Returns the options that have a value, so that an explicit undefined leaves the default in place. */
function given<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/**
 * Checks options, and returns them with the defaults.
 *
 * @throws {@link ArgumentError} for an unknown option
 * @throws RangeError for a value out of range
 */
export function defaultOptions(options: ThreadPoolOptions): PoolOptions {
  checkOptionNames(options, POOL_OPTIONS, "a thread pool");
  const maxThreads =
    options.maxThreads ?? Math.max(defaultThreads(availableParallelism()), options.minThreads ?? 0);
  const filled = { ...DEFAULTS, ...given(options), maxThreads };
  expectNumber("maxThreads", filled.maxThreads, { least: 1 });
  expectNumber("minThreads", filled.minThreads, { least: 0 });
  for (const name of ["spareThreads", "idleTimeout", "maxQueue", "cancelGrace"] as const)
    expectNumber(name, filled[name], { least: 0 });
  for (const name of ["maxTasksPerThread", "recycleHeapMb"] as const)
    expectNumber(name, filled[name], { least: 1 });
  if (filled.minThreads > filled.maxThreads)
    throw new RangeError(
      `Expected \`minThreads\` to be at most \`maxThreads\` (${filled.maxThreads}), got ${filled.minThreads}`,
    );
  return filled;
}
