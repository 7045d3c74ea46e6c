/** Finding a function on the thread that shall run it. */
import { fileURLToPath } from "node:url";
import { types } from "node:util";
import { compileFunction, constants } from "node:vm";
import { NotSelfContainedError, NotThreadableError } from "../errors.ts";
import { functionAddress } from "../pool/function-ref.ts";
import type { Address } from "../pool/function-ref.ts";
import { loading } from "../boundary/recursion.ts";
import type { FunctionAddress } from "../boundary/wire.ts";

export type AnyFunction = (...args: unknown[]) => unknown;

/** How a function has to be run: called, or given to a task of the thread's loop. */
export type Kind = "plain" | "async" | "generator" | "asyncGenerator";

export interface LoadedFunction {
  readonly fn: AnyFunction;
  readonly kind: Kind;
  readonly label: string;
  readonly fromSource: boolean;
}

const AsyncFunction = (async () => {}).constructor;
const GeneratorFunction = function* () {}.constructor;
const AsyncGeneratorFunction = async function* () {}.constructor;

function kindOf(fn: AnyFunction): Kind {
  if (fn instanceof AsyncFunction) return "async";
  if (fn instanceof AsyncGeneratorFunction) return "asyncGenerator";
  if (fn instanceof GeneratorFunction) return "generator";
  return "plain";
}

/**
 * Code compiled as if it stood in the caller's file: stack traces name the file, and with `imports`,
 * `import()` in it resolves from there, packages of the caller's included. (`data:` modules resolve neither
 * bare nor relative specifiers.)
 */
function compileAt(parent: string | null, body: string, parameters: string[], imports: boolean): AnyFunction {
  return compileFunction(`"use strict";${body}`, parameters, {
    ...(parent !== null && { filename: parent.startsWith("file:") ? fileURLToPath(parent) : parent }),
    ...(imports && { importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER }),
  }) as AnyFunction;
}

/** Node marks the loader constant as experimental; that is our affair, not one for the user's console. */
export function hideLoaderWarning(): void {
  const { emitWarning } = process;
  process.emitWarning = (warning: string | Error, ...rest: unknown[]): void => {
    if (typeof warning === "string" && warning.startsWith("vm.USE_MAIN_CONTEXT_DEFAULT_LOADER")) return;
    (emitWarning as (...args: unknown[]) => void).call(process, warning, ...rest);
  };
}

/** vite (and so vitest) turns `import()` into calls of this function. */
const VITE_IMPORT = "const __vite_ssr_dynamic_import__ = (specifier) => import(specifier);";

function load(address: FunctionAddress, label: string): LoadedFunction | Promise<LoadedFunction> {
  if (address.kind === "export") return loadExport(address, label);
  const { text, method, imports, parent } = address;
  const body =
    (imports ? VITE_IMPORT : "") +
    (method ? `const o = { ${text} }; return o[Reflect.ownKeys(o)[0]];` : `return (${text}\n);`);
  const fn = compileAt(parent, body, [], imports)() as AnyFunction;
  return { fn, kind: kindOf(fn), label, fromSource: true };
}

/** Imports a module as `parent` would. */
export function importModule(module: string, parent: string | null): Promise<Record<string, unknown>> {
  return loading(module, () => {
    const imported =
      parent === null
        ? import(module)
        : compileAt(parent, "return import(specifier);", ["specifier"], true)(module);
    return imported as Promise<Record<string, unknown>>;
  });
}

async function loadExport(
  { module, parent, name }: FunctionAddress & { kind: "export" },
  label: string,
): Promise<LoadedFunction> {
  const namespace = await importModule(module, parent);
  const fn = findFunction(namespace, name);
  if (fn === undefined) {
    const names = Object.keys(namespace).filter((key) => typeof namespace[key] === "function");
    throw new NotThreadableError(
      `${module} exports no function ${name}; ` +
        (names.length > 0 ? `it exports ${names.join(", ")}` : "it exports no functions"),
    );
  }
  // What `defineTask` made is a plain function around one of any kind, and runs as a task wherever it runs.
  if (functionAddress in fn)
    return { fn: async (...args) => fn(...args), kind: "async", label, fromSource: false };
  return { fn, kind: kindOf(fn), label, fromSource: false };
}

function findFunction(namespace: Record<string, unknown>, name: string): AnyFunction | undefined {
  const named = namespace[name];
  if (typeof named === "function") return named as AnyFunction;
  for (const value of Object.values(namespace)) {
    if (typeof value !== "function") continue;
    if ((value as { [functionAddress]?: Address })[functionAddress]?.name === name)
      return value as AnyFunction;
  }
  // A CommonJS module whose exports could not be told apart has them all on its default export.
  const fallback = (namespace["default"] as Record<string, unknown> | undefined)?.[name];
  return typeof fallback === "function" ? (fallback as AnyFunction) : undefined;
}

/** For a function sent by its text: what went wrong when it names something that is not there. */
export function explainReference(error: unknown, label: string): unknown {
  if (!types.isNativeError(error) || !(error instanceof ReferenceError)) return error;
  const name = undefinedName(error);
  if (name === undefined) return error;
  const explained = new NotSelfContainedError(
    `${label} uses ${name}, which is outside of it. A function sent to a thread by its source text sees ` +
      `only its parameters, globals and what it imports itself with import(). Pass ${name} as an argument, ` +
      'or put the function into a module: threaded("./module.ts"), or defineTask',
    { cause: error },
  );
  return explained;
}

function undefinedName(error: ReferenceError): string | undefined {
  try {
    return /^(\S+) is not defined$/.exec(error.message)?.[1];
  } catch {
    // Its message has a getter that throws.
    return undefined;
  }
}

/** A function as it is known here; one that is still being loaded, or could not be, is a promise. */
export interface Known {
  readonly label: string;
  loaded: LoadedFunction | Promise<LoadedFunction>;
}

export function know(address: FunctionAddress, label: string): Known {
  const known: Known = { label, loaded: attempt(address, label) };
  if (known.loaded instanceof Promise) {
    known.loaded.then(
      (fn) => {
        known.loaded = fn;
      },
      // The call that waits for it gets the error.
      () => {},
    );
  }
  return known;
}

function attempt(address: FunctionAddress, label: string): LoadedFunction | Promise<LoadedFunction> {
  try {
    return load(address, label);
  } catch (error) {
    return Promise.reject(error);
  }
}
