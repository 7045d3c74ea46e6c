import { ArgumentError } from "../errors.ts";
import { strandStorage } from "./context.ts";
import { machine } from "./machine.ts";
import { describe } from "../describe.ts";
import { FutureCore } from "./future-core.ts";
import { isGenerator } from "./generator-object.ts";
import { ForeignPromise, NativeBody } from "./native-body.ts";
import { Operation } from "./operation.ts";
import type { Steppable, Strand } from "./strand.ts";

/**
 * A value that a task can await: a Future or a Task, a Coroutine or another lazy operation of this package, a
 * generator object, a promise or any other object with a `then`.
 */
export type Awaitable<T> = PromiseLike<T> | Generator<unknown, T, never>;

/** Work that can be started: an awaitable, or a function that returns one. The function is called when the work starts. */
export type Startable<T> = Awaitable<T> | (() => Awaitable<T>);

/** An object that a strand delegates to, as by `yield*`: the strand steps its iterator. */
export interface Opened {
  [Symbol.iterator](): Steppable & Iterator<never, unknown>;
}

/** Returns the iterator of an opened object. A generator is its own; a lookup would cost as much as `resume` saves. */
export function iteratorOf(opened: Opened): Steppable {
  return isGenerator(opened) ? opened : opened[Symbol.iterator]();
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    (typeof value === "object" || typeof value === "function") &&
    value !== null &&
    "then" in value &&
    typeof value.then === "function"
  );
}

/**
 * Keeps the rejection of a promise that was passed in from counting as unhandled. Its task reads the promise in its
 * first step, and reports the error if no code reads that of the task.
 */
export function adopt(work: unknown): void {
  if (work instanceof Promise) work.then(undefined, () => {});
}

/**
 * Returns whether a task can await `value`.
 *
 * ```ts
 * import { isAwaitable, sleep } from "@taskloom/loop";
 *
 * console.log(isAwaitable(sleep(1)), isAwaitable(Promise.resolve()), isAwaitable(42)); // true true false
 * ```
 */
export function isAwaitable(value: unknown): value is Awaitable<unknown> {
  return isGenerator(value) || value instanceof FutureCore || value instanceof Operation || isThenable(value);
}

/**
 * Opens an awaitable, or a function that returns one, for `strand`. A promise that was passed in is foreign code's,
 * and a cancellation ends the wait for it. The promise of a function that is called here is the body of the strand,
 * and the strand ends when it does.
 */
export function openAwaitable(strand: Strand, work: unknown): Opened {
  if (typeof work === "function") return openBody(strand, work as (...args: never[]) => unknown, []);
  return open(strand, work, false) ?? notAwaitable(work);
}

/** Calls `fn` as the body of `strand`, and opens its result. */
export function openBody(
  strand: Strand,
  fn: (...args: never[]) => unknown,
  args: readonly unknown[],
): Opened {
  const made: unknown = isGeneratorFunction(fn) ? fn(...(args as never[])) : callIn(strand, fn, args);
  return (
    open(strand, made, true) ??
    notAwaitable(made, `${describe(fn)} has to return something to await, for instance by being async; it`)
  );
}

/** Calls a function that may be `async`. Its awaits belong to `strand`. */
function callIn(strand: Strand, fn: (...args: never[]) => unknown, args: readonly unknown[]): unknown {
  const outer = machine.inAsync;
  machine.inAsync = true;
  try {
    return strandStorage.getStore() === strand
      ? fn(...(args as never[]))
      : strandStorage.run(strand, fn, ...(args as never[]));
  } finally {
    machine.inAsync = outer;
  }
}

function open(strand: Strand, value: unknown, isBody: boolean): Opened | null {
  if (isGenerator(value)) return value as unknown as Opened;
  if (value instanceof FutureCore || value instanceof Operation) return value;
  if (isThenable(value)) {
    return isBody ? new NativeBody(strand, value) : new ForeignPromise(strand._loop, value);
  }
  return null;
}

function notAwaitable(value: unknown, who = "a task"): never {
  throw new ArgumentError(
    who === "a task"
      ? `Expected a coroutine, a future, a promise, a generator or a function that returns one, got ${describe(value)}`
      : `${who} returned ${describe(value)}`,
  );
}

const GeneratorFunction = Object.getPrototypeOf(function* () {}) as object;

function isGeneratorFunction(fn: object): boolean {
  return Object.getPrototypeOf(fn) === GeneratorFunction;
}
