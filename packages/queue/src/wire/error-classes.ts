import * as loop from "@taskloom/loop";
import * as errors from "../errors.ts";

type ErrorClass = abstract new (...args: never[]) => Error;

const known = new Map<string, ErrorClass>();

/**
 * Makes a class of errors known here, so that an error of that class, thrown in another process, arrives as an
 * instance of it. The built-in classes and Taskloom's own are known. No constructor runs: the error's own
 * properties are copied, so private fields (`#x`) are not there.
 *
 * ```ts
 * import { registerErrorClass } from "@taskloom/queue";
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

for (const each of [
  Error,
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
  EvalError,
  URIError,
  AggregateError,
]) {
  registerErrorClass(each);
}
for (const each of [...Object.values(loop), ...Object.values(errors)] as unknown[]) {
  if (typeof each === "function" && each.prototype instanceof Error) registerErrorClass(each as ErrorClass);
}

/** The names of an error's classes, the most special first. */
export function classNames(error: Error): string[] {
  const names: string[] = [];
  let prototype: unknown = Object.getPrototypeOf(error);
  while (prototype !== null && prototype !== Object.prototype) {
    const { constructor } = prototype as { constructor?: { name?: unknown } };
    if (typeof constructor?.name === "string") names.push(constructor.name);
    prototype = Object.getPrototypeOf(prototype);
  }
  return names;
}

/** The prototype for an error of these classes: of the most special one that is known here. */
export function knownPrototype(names: readonly string[]): object {
  const name = names.find((each) => known.has(each)) ?? "Error";
  return (known.get(name) ?? Error).prototype as object;
}
