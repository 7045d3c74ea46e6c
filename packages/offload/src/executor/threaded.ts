import { existsSync, readdirSync } from "node:fs";
import { isBuiltin } from "node:module";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Task } from "@taskloom/loop";
import { didYouMean } from "@taskloom/loop/did-you-mean";
import { checkOptionNames } from "../check-options.ts";
import { callerModule } from "../calls/caller.ts";
import { NotThreadableError } from "../errors.ts";
import type { ThreadedFunction, ThreadPoolExecutor } from "./executor.ts";
import { poolOf, submit } from "./executor.ts";
import { functionAddress } from "../pool/function-ref.ts";
import type { Address } from "../pool/function-ref.ts";
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
 * A file may be named as it is in the sources or as the compiler leaves it: where there is no `./m.ts`, as
 * in a build, `./m.js` is taken, and the other way round.
 *
 * @param specifier a package, a builtin, a URL, or a path relative to the calling module
 * @param options `executor`: the pool to use instead of the running loop's
 * @throws NotThreadableError when there is no such file
 * @throws ArgumentError for options that do not exist
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
  if (url.startsWith("file:")) return { module: existingFile(url, specifier), parent: null };
  return { module: url, parent: caller };
}

/** The extension of a source file by that of its compiled form, and the other way round. */
const COUNTERPARTS: Readonly<Record<string, string>> = {
  ".ts": ".js",
  ".mts": ".mjs",
  ".cts": ".cjs",
  ".js": ".ts",
  ".mjs": ".mts",
  ".cjs": ".cts",
};

/**
 * The URL of a module's file. The compiler rewrites extensions in imports and not in a call's argument, so a
 * program that names `./m.ts` finds only `./m.js` beside it once it is built.
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
