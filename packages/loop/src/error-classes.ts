import * as own from "./errors.ts";

/** A class of errors. The registry never calls its constructor. */
export type ErrorClass = abstract new (...args: never[]) => Error;

/**
 * The registry is on `globalThis`, so that two copies of this module (in a bundle and in a thread, for example)
 * share it. Users register a class once, for errors from threads and from other processes alike.
 */
const KEY = Symbol.for("taskloom.errorClasses");
const scope = globalThis as { [KEY]?: Map<string, ErrorClass> };
const known = (scope[KEY] ??= new Map<string, ErrorClass>());

/**
 * Registers a class of errors. An error of that class that was thrown on a thread or in another process then
 * arrives as an instance of the class. The built-in classes and Taskloom's classes are registered.
 *
 * No constructor runs: the error's own properties are copied, and private fields (`#x`) are missing.
 *
 * @example
 * ```ts
 * import { registerErrorClass } from "@taskloom/loop";
 *
 * class OutOfStock extends Error {
 *   sku = "";
 * }
 * registerErrorClass(OutOfStock);
 * ```
 */
export function registerErrorClass(errorClass: ErrorClass): void {
  known.set(errorClass.name, errorClass);
}

/**
 * Registers every error class among a module's exports.
 *
 * ```ts
 * import { knownErrorPrototype, registerErrorClasses } from "@taskloom/loop";
 *
 * class OutOfStock extends Error {}
 * registerErrorClasses({ OutOfStock });
 * console.log(knownErrorPrototype(["OutOfStock"]) === OutOfStock.prototype); // true
 * ```
 */
export function registerErrorClasses(module: object): void {
  for (const each of Object.values(module) as unknown[]) {
    if (typeof each === "function" && each.prototype instanceof Error) registerErrorClass(each as ErrorClass);
  }
}

for (const builtin of [
  Error,
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
  EvalError,
  URIError,
  AggregateError,
]) {
  registerErrorClass(builtin);
}
registerErrorClasses(own);

/**
 * Returns the names of an error's classes, the most specific first.
 *
 * ```ts
 * import { errorClassNames, TimeoutError } from "@taskloom/loop";
 *
 * console.log(errorClassNames(new TimeoutError())[0]); // TimeoutError
 * ```
 */
export function errorClassNames(error: Error): string[] {
  const names: string[] = [];
  let prototype: unknown = Object.getPrototypeOf(error);
  while (prototype !== null && prototype !== Object.prototype) {
    const { constructor } = prototype as { constructor?: { name?: unknown } };
    if (typeof constructor?.name === "string") names.push(constructor.name);
    prototype = Object.getPrototypeOf(prototype);
  }
  return names;
}

/**
 * Returns the prototype for an error with classes of these names: that of the first registered class.
 *
 * ```ts
 * import { knownErrorPrototype, TimeoutError } from "@taskloom/loop";
 *
 * console.log(knownErrorPrototype(["MineAlone", "TimeoutError"]) === TimeoutError.prototype); // true
 * ```
 */
export function knownErrorPrototype(names: readonly string[]): object {
  const name = names.find((each) => known.has(each)) ?? "Error";
  return (known.get(name) ?? Error).prototype as object;
}
