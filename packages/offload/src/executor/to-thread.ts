import { getEventLoop } from "@taskloom/loop";
import type { EventLoop, Task } from "@taskloom/loop";
import { ThreadPoolExecutor, checkCallOptions, poolOf, submit } from "./executor.ts";
import type { CallOptions, Submit } from "./executor.ts";
import type { Pool } from "../pool/pool.ts";

const own = new WeakMap<EventLoop, ThreadPoolExecutor>();

/**
 * The running loop's pool: its default executor where that is a thread pool, else one that is made when it
 * is first needed. The loop ends it when it shuts down.
 */
export function defaultPool(): Pool {
  const loop = getEventLoop();
  const chosen = loop.getDefaultExecutor();
  if (chosen instanceof ThreadPoolExecutor) return poolOf(chosen);
  let executor = own.get(loop);
  if (executor === undefined) {
    const made = new ThreadPoolExecutor();
    executor = made;
    own.set(loop, made);
    if (chosen === null) loop.setDefaultExecutor(made);
    else loop.addShutdownHook(() => made.shutdown());
  }
  return poolOf(executor);
}

/** See `toThread`. */
export interface ToThread extends Submit {
  /** The same, on a pool of your own. */
  on(executor: ThreadPoolExecutor): ToThread;
  /** The same, with options for the call. Throws as `ThreadPoolExecutor.with` does. */
  with(options: CallOptions): ToThread;
}

function make(pool: () => Pool, options: CallOptions | undefined): ToThread {
  const run = (fn: (...args: never[]) => unknown, ...args: unknown[]): Task<never> =>
    submit(pool(), fn, args, options, run) as Task<never>;
  return Object.assign(run as Submit, {
    on: (executor: ThreadPoolExecutor) => make(() => poolOf(executor), options),
    with: (more: CallOptions) => {
      checkCallOptions(more);
      return make(pool, { ...options, ...more });
    },
  });
}

/**
 * Runs a function on another thread; what it gives is a Task like any other: await it, cancel it, put it in
 * a `timeout`, gather it.
 *
 * The function is a member of a `threaded` module, a task made with `defineTask`, or a function that uses
 * nothing from outside itself and is sent by its source text. Cancelling first asks (`checkCancelled`,
 * `threadSignal`), then ends that one thread.
 *
 * @throws NotThreadableError when the function cannot be found from a thread
 * @throws UncloneableError when an argument cannot cross
 * @throws ThreadRecursionError when a module that a thread imports makes the call at its top level
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
