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
 * What a task can await: a Future (a Task is one), a Coroutine or another lazy operation of this package, a
 * generator object, a promise or anything else with a `then`.
 */
export type Awaitable<T> = PromiseLike<T> | Generator<unknown, T, never>;

/** What starts work takes: something to await, or a function that gives it (called when the work starts). */
export type Startable<T> = Awaitable<T> | (() => Awaitable<T>);

/** What can be delegated to with `yield*`; a strand steps its iterator. */
export interface Opened {
  [Symbol.iterator](): Steppable & Iterator<never, unknown>;
}

/** The iterator of what was opened. A generator is its own; looking that up would cost what `resume` saves. */
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
 * A promise that was handed over is looked at later, in the first step of its task: until then its rejection
 * must not count as unhandled. The task reports it if nobody looks at that.
 */
export function adopt(work: unknown): void {
  if (work instanceof Promise) work.then(undefined, () => {});
}

/**
 * Whether `value` can be awaited by a task.
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
 * What to delegate to for an awaitable or a function that gives one. A promise that is handed over belongs
 * to somebody else, and waiting for it can be given up; the promise of a function called here is the body
 * of this strand, and the strand ends when it does.
 */
export function openAwaitable(strand: Strand, work: unknown): Opened {
  if (typeof work === "function") return openBody(strand, work as (...args: never[]) => unknown, []);
  return open(strand, work, false) ?? notAwaitable(work);
}

/** Calls `fn` as the body of `strand`, and gives what to delegate to for what it returned. */
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

/** Calls a function that may be `async`: what it awaits belongs to `strand`. */
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
