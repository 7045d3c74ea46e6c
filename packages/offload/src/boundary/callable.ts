/** A function of any signature. It can be named and stored, but not called. */
export type AnyFunction = (...args: never[]) => unknown;

/** A function that is called with values from the other side of the boundary. */
export type Callable = (...args: unknown[]) => unknown;

/** Returns true for a function. */
export function isCallable(value: unknown): value is Callable {
  return typeof value === "function";
}
