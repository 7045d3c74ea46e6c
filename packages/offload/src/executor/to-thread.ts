import { getEventLoop } from "@taskloom/loop";
import type { EventLoop, Task } from "@taskloom/loop";
import type { AnyFunction } from "../boundary/callable.ts";
import { checkCallOptions } from "../calls/call-options.ts";
import type { CallOptions } from "../calls/call-options.ts";
import { submit } from "../calls/make-call.ts";
import type { Submit } from "../calls/signatures.ts";
import type { Pool } from "../pool/pool.ts";
import { ThreadPoolExecutor, poolOf } from "./executor.ts";

const ownExecutors = new WeakMap<EventLoop, ThreadPoolExecutor>();

/**
 * Returns the running loop's pool: the loop's default executor if that is a thread pool, else a pool that is made when
 * it is first needed. The loop ends its pool when it shuts down.
 */
export function defaultPool(): Pool {
  const loop = getEventLoop();
  const chosen = loop.getDefaultExecutor();
  if (chosen instanceof ThreadPoolExecutor) return poolOf(chosen);
  let executor = ownExecutors.get(loop);
  if (executor === undefined) {
    const made = new ThreadPoolExecutor();
    executor = made;
    ownExecutors.set(loop, made);
    if (chosen === null) loop.setDefaultExecutor(made);
    else loop.addShutdownHook(() => made.shutdown());
  }
  return poolOf(executor);
}

/** The type of `toThread`. */
export interface ToThread extends Submit {
  /** Returns `toThread` for a pool of your own. */
  on(executor: ThreadPoolExecutor): ToThread;
  /**
   * Returns `toThread` with options for the calls.
   *
   * @throws {@link ArgumentError} for an unknown option
   * @throws RangeError for a value out of range
   */
  with(options: CallOptions): ToThread;
}

function make(pool: () => Pool, options: CallOptions | undefined): ToThread {
  const run: Submit = (fn: AnyFunction, ...args: unknown[]): Task<never> =>
    submit(pool(), fn, args, options, run) as Task<never>;
  return Object.assign(run, {
    on: (executor: ThreadPoolExecutor) => make(() => poolOf(executor), options),
    with: (more: CallOptions) => {
      checkCallOptions(more);
      return make(pool, { ...options, ...more });
    },
  });
}

/**
 * Runs a function on another thread, and returns a Task. Like any other Task it can be awaited, cancelled, put in a
 * `timeout` and gathered.
 *
 * The function is a member of a `threaded` module, a task made by `defineTask`, or a function that uses nothing from
 * outside itself and is sent as its source text. A cancellation first asks the function to stop (`checkCancelled`,
 * `threadSignal`), and then ends that one thread.
 *
 * @throws {@link NotThreadableError} if no thread can find the function
 * @throws {@link UncloneableError} if an argument cannot cross
 * @throws {@link ThreadRecursionError} if a module that a thread imports makes the call at its top level
 *
 * ```ts
 * import { toThread } from "@taskloom/offload";
 *
 * const total = await toThread((n: number) => {
 *   let sum = 0;
 *   for (let i = 1; i <= n; i++) sum += i;
 *   return sum;
 * }, 1_000_000);
 * ```
 */
export const toThread: ToThread = make(defaultPool, undefined);
