import { existsSync, readdirSync } from "node:fs";
import { isBuiltin } from "node:module";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Task } from "@taskloom/loop";
import { didYouMean } from "@taskloom/loop/did-you-mean";
import type { AnyFunction } from "../boundary/callable.ts";
import { functionAddress } from "../boundary/function-address.ts";
import type { Address } from "../boundary/function-address.ts";
import { callerModule } from "../calls/caller.ts";
import { submit } from "../calls/make-call.ts";
import type { ThreadedFunction } from "../calls/signatures.ts";
import { checkOptionNames } from "../check-options.ts";
import { NotThreadableError } from "../errors.ts";
import type { ThreadPoolExecutor } from "./executor.ts";
import { poolOf } from "./executor.ts";
import { defaultPool } from "./to-thread.ts";

/** A module whose functions run on a thread. */
export type Threaded<M> = {
  readonly [K in keyof M as M[K] extends AnyFunction ? K : never]: ThreadedOverloads<M[K]>;
};

/** The signatures of a function, up to four, as another thread calls them. */
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
 * Returns a module whose functions run on threads: a call of an exported function returns a Task.
 *
 * The module is not imported on this thread. Its members carry their address, so `toThread`, `pool.submit`, `pool.map`
 * and `pool.stream` accept them.
 *
 * A file can be named as in the sources or as in the build: if there is no `./m.ts`, `./m.js` is used, and the other
 * way round.
 *
 * @param specifier a package, a builtin, a URL, or a path relative to the calling module
 * @param options `executor`: the pool to use instead of the running loop's
 * @throws {@link NotThreadableError} if there is no such file
 * @throws {@link ArgumentError} for an unknown option
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
  checkOptionNames(options, { executor: true }, "threaded");
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
  return lazyMembers(member) as Threaded<M>;
}

/**
 * Returns an object whose members are made when they are read. It has no `then`, because `await` must not take it for a
 * promise.
 */
export function lazyMembers(
  member: (name: string) => AnyFunction,
  symbols: Readonly<Record<symbol, AnyFunction>> = {},
): object {
  const isMember = (name: string | symbol): name is string => typeof name === "string" && name !== "then";
  return new Proxy<object>(Object.create(null), {
    get: (_target, name) =>
      isMember(name) ? member(name) : typeof name === "symbol" ? symbols[name] : undefined,
    has: (_target, name) => isMember(name) || name in symbols,
  });
}

/** Returns the module that a specifier names, as seen from the module `caller`. */
export function locate(
  specifier: string,
  caller: string | null,
): { readonly module: string; readonly parent: string | null } {
  if (isBuiltin(specifier)) return { module: specifier, parent: null };
  const relative = /^\.{0,2}\//.test(specifier);
  if (relative && caller === null)
    throw new NotThreadableError(
      `${specifier} is relative, and the module that names it has no file; use a URL, ` +
        `as in threaded(new URL("${specifier}", import.meta.url))`,
    );
  const url = relative ? new URL(specifier, caller!).href : specifier;
  if (url.startsWith("file:")) return { module: existingFile(url, specifier), parent: null };
  return { module: url, parent: caller };
}

/** The extensions of compiled files by those of their sources, and the other way round. */
const COUNTERPARTS: Readonly<Record<string, string>> = {
  ".ts": ".js",
  ".mts": ".mjs",
  ".cts": ".cjs",
  ".js": ".ts",
  ".mjs": ".mts",
  ".cjs": ".cts",
};

/**
 * Returns the URL of a module's file. The compiler rewrites extensions in imports, but not in the argument of a call, so
 * a built program that names `./m.ts` has only `./m.js` beside it.
 */
function existingFile(url: string, specifier: string): string {
  if (existsSync(fileURLToPath(url))) return url;
  const extension = /\.[cm]?[jt]s(?=$|[?#])/.exec(url);
  if (extension !== null) {
    const counterpart = COUNTERPARTS[extension[0]]!;
    const other =
      url.slice(0, extension.index) + counterpart + url.slice(extension.index + extension[0].length);
    if (existsSync(fileURLToPath(other))) return other;
  }
  const path = fileURLToPath(url);
  const hint = didYouMean(basename(path), modulesIn(dirname(path)));
  throw new NotThreadableError(`There is no module ${path} (from ${specifier}).${hint}`);
}

function modulesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /\.[cm]?[jt]s$/.test(name));
  } catch {
    return [];
  }
}
