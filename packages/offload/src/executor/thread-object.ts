import { MessageChannel } from "node:worker_threads";
import type { Task } from "@taskloom/loop";
import type { AnyFunction } from "../boundary/callable.ts";
import { checkModule } from "../boundary/recursion.ts";
import { transfer } from "../boundary/transfer.ts";
import type { ObjectInit } from "../boundary/wire.ts";
import { callerModule } from "../calls/caller.ts";
import { submit } from "../calls/make-call.ts";
import { addressed } from "../calls/naming.ts";
import { checkOptionNames } from "../check-options.ts";
import type { OptionNames } from "../check-options.ts";
import { death } from "../pool/call-failure.ts";
import { Pool } from "../pool/pool.ts";
import { THREAD_OPTIONS } from "../pool/supervisor.ts";
import type { ThreadOptions } from "../pool/supervisor.ts";
import { defaultOptions } from "./pool-options.ts";
import { RemoteObject } from "./remote-object.ts";
import { lazyMembers, locate } from "./threaded.ts";
import type { ThreadedOverloads } from "./threaded.ts";

/** Options of an object on a thread. Times are milliseconds. */
export interface ThreadObjectOptions extends ThreadOptions {
  /** If true, methods begin when they are called. By default each method waits for the methods before it. */
  parallel?: boolean;
  /**
   * The time that a method has to stop by itself before the thread is ended, and the object with it. Default: no
   * limit.
   */
  cancelGrace?: number;
}

type AnyClass = abstract new (...args: never[]) => object;

/** An object on a thread. Its methods return Tasks, and its disposal ends the thread. */
export type ThreadObject<T> = {
  readonly [
    K in keyof T as T[K] extends AnyFunction ? (K extends string ? K : never) : never
  ]: ThreadedOverloads<T[K]>;
} & AsyncDisposable;

const OBJECT_OPTIONS: OptionNames<ThreadObjectOptions> = {
  parallel: true,
  cancelGrace: true,
  ...THREAD_OPTIONS,
};

const HOST_MODULE = new URL(
  import.meta.url.endsWith(".ts") ? "../thread/object-host.ts" : "../thread/object-host.js",
  import.meta.url,
).href;

/**
 * Makes an instance of a class on a thread of its own. The instance's state stays there. A call of a method returns a
 * Task. The methods run one at a time, in the order in which they are called.
 *
 * If the Task of a method is cancelled, a method that has not begun is taken out, and a running method is asked to
 * stop. The disposal of the object runs the object's own `Symbol.asyncDispose` or `Symbol.dispose`, and ends the
 * thread. If the thread dies, every call in flight fails with a `ThreadDiedError`, and so does every later call.
 *
 * @param specifier the class's module, as for `threaded`
 * @param className the name of the export
 * @param args the constructor's arguments
 * @throws {@link NotThreadableError} if there is no such module or class
 * @throws {@link ThreadRecursionError} if a module that a thread imports makes the call at its top level
 * @throws the error of the constructor
 *
 * ```ts
 * import { threadObject } from "@taskloom/offload";
 *
 * await using hash = await threadObject<typeof import("node:events"), "EventEmitter">("node:events", "EventEmitter", []);
 * console.log(await hash.listenerCount("data")); // 0
 * ```
 */
export async function threadObject<M extends object, K extends keyof M & string>(
  specifier: string | URL,
  className: K,
  args: M[K] extends abstract new (...args: infer A) => object ? A : never,
  options: ThreadObjectOptions = {},
): Promise<ThreadObject<M[K] extends AnyClass ? InstanceType<M[K]> : never>> {
  const { module, parent } = locate(String(specifier), callerModule(threadObject));
  checkModule(module, className);
  checkOptionNames(options, OBJECT_OPTIONS, "threadObject");
  const { parallel = false, cancelGrace = Infinity, ...threadOptions } = options;
  const calls = new MessageChannel();
  const control = new MessageChannel();
  const remote = new RemoteObject(className, calls.port1, control.port1, cancelGrace);
  const pool = new Pool({
    ...defaultOptions(threadOptions),
    maxThreads: 1,
    spareThreads: 0,
    idleTimeout: Infinity,
    onExit: (exitCode, error) => remote.fail(death("this object", exitCode, error)),
  });
  remote.pool = pool;
  try {
    const ports = [calls.port2, control.port2] as const;
    const init: ObjectInit = [module, parent, className, args, ...ports, remote.slots.buffer, parallel];
    const host = addressed({ module: HOST_MODULE, name: "host" });
    await submit(pool, host, transfer(init, ports), undefined, threadObject);
  } catch (error) {
    remote.close();
    await pool.shutdown({ cancelPending: true, cancelRunning: true });
    throw error;
  }
  const methods = new Map<string, (...args: unknown[]) => Task<unknown>>();
  const method = (name: string): AnyFunction => {
    let fn = methods.get(name);
    if (fn === undefined) {
      fn = (...methodArgs) => remote.call(name, methodArgs);
      methods.set(name, fn);
    }
    return fn;
  };
  return lazyMembers(method, { [Symbol.asyncDispose]: () => remote.dispose() }) as never;
}
