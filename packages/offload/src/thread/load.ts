/** Finds the functions that this thread runs. */
import { fileURLToPath } from "node:url";
import { types } from "node:util";
import { compileFunction, constants } from "node:vm";
import { asRecord } from "../boundary/as-record.ts";
import { isCallable } from "../boundary/callable.ts";
import type { Callable } from "../boundary/callable.ts";
import { addressOf } from "../boundary/function-address.ts";
import type { ExportAddress, FunctionAddress, SourceAddress } from "../boundary/function-address.ts";
import { loading } from "../boundary/recursion.ts";
import { NotSelfContainedError, NotThreadableError } from "../errors.ts";

/** The way in which a function runs: a plain function is called, every other becomes a task of the thread's loop. */
export type FunctionKind = "plain" | "async" | "generator" | "asyncGenerator";

export interface LoadedFunction {
  readonly fn: Callable;
  readonly kind: FunctionKind;
  readonly label: string;
  readonly isFromSource: boolean;
}

/** The exports of a module. */
type Namespace = Readonly<Record<string, unknown>>;

const AsyncFunction = (async () => {}).constructor;
const GeneratorFunction = function* () {}.constructor;
const AsyncGeneratorFunction = async function* () {}.constructor;

function kindOf(fn: Callable): FunctionKind {
  if (fn instanceof AsyncFunction) return "async";
  if (fn instanceof AsyncGeneratorFunction) return "asyncGenerator";
  if (fn instanceof GeneratorFunction) return "generator";
  return "plain";
}

/** Returns true for an `async` function, whose calls have to become tasks. */
export function isAsyncFunction(fn: Callable): boolean {
  return fn instanceof AsyncFunction;
}

/**
 * Compiles code as if it stood in the caller's file. Stack traces then name the file. With `imports`, `import()` in
 * the code resolves from that file, the caller's packages included. A `data:` module would resolve neither bare nor
 * relative specifiers.
 */
function compileAt(parent: string | null, body: string, parameters: string[], imports: boolean): Callable {
  return compileFunction(`"use strict";${body}`, parameters, {
    ...(parent !== null && { filename: parent.startsWith("file:") ? fileURLToPath(parent) : parent }),
    ...(imports && { importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER }),
  }) as Callable;
}

/** Hides Node's warning that the loader constant is experimental, which is of no use to the user. */
export function hideLoaderWarning(): void {
  const { emitWarning } = process;
  const forward: (warning: string | Error, ...rest: never[]) => void = emitWarning.bind(process);
  process.emitWarning = (warning: string | Error, ...rest: never[]): void => {
    if (typeof warning === "string" && warning.startsWith("vm.USE_MAIN_CONTEXT_DEFAULT_LOADER")) return;
    forward(warning, ...rest);
  };
}

/** The definition of the function into which vite, and so vitest, turns `import()`. */
const VITE_IMPORT = "const __vite_ssr_dynamic_import__ = (specifier) => import(specifier);";

function load(address: FunctionAddress, label: string): LoadedFunction | Promise<LoadedFunction> {
  return address.kind === "export" ? loadExport(address, label) : compileSource(address, label);
}

function compileSource({ text, isMethod, hasImports, parent }: SourceAddress, label: string): LoadedFunction {
  const body =
    (hasImports ? VITE_IMPORT : "") +
    (isMethod ? `const o = { ${text} }; return o[Reflect.ownKeys(o)[0]];` : `return (${text}\n);`);
  const fn = compileAt(parent, body, [], hasImports)();
  if (!isCallable(fn)) throw new NotThreadableError(`The source text of ${label} is not that of a function`);
  return { fn, kind: kindOf(fn), label, isFromSource: true };
}

/** Imports a module as `parent` would. */
export function importModule(module: string, parent: string | null): Promise<Namespace> {
  return loading(module, () => {
    const imported =
      parent === null
        ? import(module)
        : compileAt(parent, "return import(specifier);", ["specifier"], true)(module);
    return imported as Promise<Namespace>;
  });
}

async function loadExport({ module, parent, name }: ExportAddress, label: string): Promise<LoadedFunction> {
  const namespace = await importModule(module, parent);
  const fn = findFunction(namespace, name);
  if (fn === undefined) {
    const names = functionsIn(namespace);
    throw new NotThreadableError(
      `${module} exports no function ${name}; ` +
        (names.length > 0 ? `it exports ${names.join(", ")}` : "it exports no functions"),
    );
  }
  // `defineTask` returns a plain function around one of any kind, which runs as a task in every place.
  if (addressOf(fn) !== undefined)
    return { fn: async (...args) => fn(...args), kind: "async", label, isFromSource: false };
  return { fn, kind: kindOf(fn), label, isFromSource: false };
}

/** Returns the names of the functions and classes that a module exports. */
export function functionsIn(namespace: Namespace): string[] {
  return Object.keys(namespace).filter((key) => typeof namespace[key] === "function");
}

function findFunction(namespace: Namespace, name: string): Callable | undefined {
  const named = namespace[name];
  if (isCallable(named)) return named;
  for (const value of Object.values(namespace)) {
    if (isCallable(value) && addressOf(value)?.name === name) return value;
  }
  // Node cannot tell the exports of some CommonJS modules apart. The default export has all of them.
  const fallback = namespace["default"];
  if ((typeof fallback !== "object" && typeof fallback !== "function") || fallback === null) return undefined;
  const member = asRecord(fallback)[name];
  return isCallable(member) ? member : undefined;
}

/** Explains a ReferenceError of a function that was sent by its source text. Other errors are returned as they are. */
export function explainReference(error: unknown, label: string): unknown {
  if (!types.isNativeError(error) || !(error instanceof ReferenceError)) return error;
  const name = undefinedName(error);
  if (name === undefined) return error;
  return new NotSelfContainedError(
    `${label} uses ${name}, which is outside of it. A function sent to a thread by its source text sees ` +
      `only its parameters, globals and what it imports itself with import(). Pass ${name} as an argument, ` +
      'or put the function into a module: threaded("./module.ts"), or defineTask',
    { cause: error },
  );
}

function undefinedName(error: ReferenceError): string | undefined {
  try {
    return /^(\S+) is not defined$/.exec(error.message)?.[1];
  } catch {
    // The error's message has a getter that throws.
    return undefined;
  }
}

/** A function in the cache of this thread. `loaded` is a promise while the function is loaded, and after a failure. */
export interface CachedFunction {
  readonly label: string;
  loaded: LoadedFunction | Promise<LoadedFunction>;
}

/** The functions of this thread, by the numbers that the pool has given them. */
export class FunctionCache {
  readonly #functions = new Map<number, CachedFunction>();

  get(id: number): CachedFunction | undefined {
    return this.#functions.get(id);
  }

  delete(id: number): void {
    this.#functions.delete(id);
  }

  /** Adds a function, and begins to load it. */
  add(id: number, address: FunctionAddress, label: string): void {
    const cached: CachedFunction = { label, loaded: attempt(address, label) };
    this.#functions.set(id, cached);
    if (!(cached.loaded instanceof Promise)) return;
    cached.loaded.then(
      (fn) => {
        cached.loaded = fn;
      },
      // The call that awaits the function fails with the error.
      () => {},
    );
  }
}

function attempt(address: FunctionAddress, label: string): LoadedFunction | Promise<LoadedFunction> {
  try {
    return load(address, label);
  } catch (error) {
    return Promise.reject(error);
  }
}
