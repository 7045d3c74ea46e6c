import * as own from "./errors.ts";

/** A class of errors; its constructor is never called here. */
export type ErrorClass = abstract new (...args: never[]) => Error;

/**
 * Off `globalThis`, so that two copies of this module (a bundle's and a thread's, say) are one registry: users
 * register a class once, for errors from threads and from other processes alike.
 */
const key = Symbol.for("taskloom.errorClasses");
const scope = globalThis as unknown as { [key]?: Map<string, ErrorClass> };
const known = (scope[key] ??= new Map<string, ErrorClass>());

/**
 * Makes a class of errors known here, so that an error of that class, thrown on a thread or in another process,
 * arrives as an instance of it. The built-in classes and Taskloom's own are known.
 *
 * No constructor runs: the error's own properties are copied, so private fields (`#x`) are not there.
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
 * Makes every error class among a module's exports known.
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
 * The names of an error's classes, the most special first.
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
 * The prototype for an error of these classes: of the most special one that is known here.
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
