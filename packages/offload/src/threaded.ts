import { existsSync } from "node:fs";
import { isBuiltin } from "node:module";
import { fileURLToPath } from "node:url";
import type { Task } from "@taskloom/loop";
import { callerModule } from "./caller.ts";
import { NotThreadableError } from "./errors.ts";
import type { ThreadedFunction, ThreadPoolExecutor } from "./executor.ts";
import { poolOf, submit } from "./executor.ts";
import { functionAddress } from "./function-ref.ts";
import type { Address } from "./function-ref.ts";
import { defaultPool } from "./to-thread.ts";

type AnyFunction = (...args: never[]) => unknown;

/** A module whose functions run on a thread. */
export type Threaded<M> = {
  readonly [K in keyof M as M[K] extends AnyFunction ? K : never]: ThreadedOverloads<M[K]>;
};

/** Each signature of a function, up to four, as it is called from another thread. */
export type ThreadedOverloads<F> = F extends {
  (...args: infer A1): infer R1;
  (...args: infer A2): infer R2;
  (...args: infer A3): infer R3;
  (...args: infer A4): infer R4;
}
  ? ThreadedFunction<A1, R1> & ThreadedFunction<A2, R2> & ThreadedFunction<A3, R3> & ThreadedFunction<A4, R4>
  : F extends { (...args: infer A1): infer R1; (...args: infer A2): infer R2; (...args: infer A3): infer R3 }
    ? ThreadedFunction<A1, R1> & ThreadedFunction<A2, R2> & ThreadedFunction<A3, R3>
    : F extends { (...args: infer A1): infer R1; (...args: infer A2): infer R2 }
      ? ThreadedFunction<A1, R1> & ThreadedFunction<A2, R2>
      : F extends (...args: infer A) => infer R
        ? ThreadedFunction<A, R>
        : never;

/**
 * A module whose functions run on threads: each exported function, called here, is a Task.
 *
 * Nothing is imported here. The members also say where they are to be found, so they can be handed to
 * `toThread`, `pool.submit`, `pool.map` and `pool.stream`.
 *
 * @param specifier a package, a builtin, a URL, or a path relative to the calling module
 * @param options `executor`: the pool to use instead of the running loop's
 * @throws NotThreadableError when there is no such file
 *
 * ```ts
 * import { threaded } from "@taskloom/offload";
 *
 * const zlib = threaded<typeof import("node:zlib")>("node:zlib");
 * const packed = await zlib.gzipSync(Buffer.from("hello"));
 * ```
 */
export function threaded<M extends object>(
  specifier: string | URL,
  options: { executor?: ThreadPoolExecutor } = {},
): Threaded<M> {
  const address = locate(String(specifier), callerModule(threaded));
  const { executor } = options;
  const members = new Map<string, AnyFunction>();
  const member = (name: string): AnyFunction => {
    let fn = members.get(name);
    if (fn === undefined) {
      const called = (...args: unknown[]): Task<unknown> =>
        submit(executor ? poolOf(executor) : defaultPool(), called, args, undefined, called);
      const where: Address = { ...address, name };
      Object.defineProperty(called, functionAddress, { value: where });
      Object.defineProperty(called, "name", { value: name });
      fn = called;
      members.set(name, fn);
    }
    return fn;
  };
  return new Proxy(Object.create(null) as object, {
    get: (_target, name) => (typeof name === "symbol" || name === "then" ? undefined : member(name)),
    has: (_target, name) => typeof name === "string" && name !== "then",
  }) as Threaded<M>;
}

/** Where a specifier leads, as seen from the module `caller`. */
export function locate(specifier: string, caller: string | null): { module: string; parent: string | null } {
  if (isBuiltin(specifier)) return { module: specifier, parent: null };
  const relative = /^\.{0,2}\//.test(specifier);
  if (relative && caller === null)
    throw new NotThreadableError(
      `${specifier} is relative, and the module that names it has no file; use a URL, ` +
        `as in threaded(new URL("${specifier}", import.meta.url))`,
    );
  const url = relative ? new URL(specifier, caller!).href : specifier;
  if (url.startsWith("file:")) {
    if (!existsSync(fileURLToPath(url)))
      throw new NotThreadableError(`There is no module ${fileURLToPath(url)} (from ${specifier})`);
    return { module: url, parent: null };
  }
  return { module: url, parent: caller };
}
