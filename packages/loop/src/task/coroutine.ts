import { describesItself } from "../describe.ts";
import { UsageError } from "../errors.ts";
import { CALLED, checkStepped, machine, probed, returned } from "./machine.ts";
import { reportDropped } from "./dropped.ts";
import type { Awaitable } from "./open.ts";
import { iteratorOf, openBody } from "./open.ts";
import { Operation } from "./operation.ts";
import type { Frame, Steppable, Strand } from "./strand.ts";

const CREATED = 0;
const ENTERED = 1;
const RETURNED = 2;
const THREW = 3;
type CoroutinePhase = typeof CREATED | typeof ENTERED | typeof RETURNED | typeof THREW;

/**
 * A call of a `coroutine(fn)`. It has a name and has not started. It is awaited once, with `yield*` or `await`, or
 * made a task.
 *
 * CREATED -> ENTERED when a strand begins it (`_begin`); ENTERED -> RETURNED or THREW. While ENTERED it is a
 * frame of the strand's stack, and `_outer` and `_outerGen` are its caller. The caller's `yield*` calls `next()` and
 * `throw()`, which return the call and then its outcome.
 *
 * ```ts
 * import { coroutine, run, sleep } from "@taskloom/loop";
 *
 * const greet = coroutine(function* greet(name: string) {
 *   yield* sleep(1);
 *   return `Hello ${name}`;
 * });
 * const call = greet("Ada"); // nothing has run yet
 * console.log(call.name, await run(call)); // greet Hello Ada
 * ```
 */
export class Coroutine<T = unknown> extends Operation<T> implements Frame {
  /** The name of the function. */
  readonly name: string;
  /** @internal */
  _outer: Frame | null = null;
  /** @internal */
  _outerGen: Steppable | null = null;
  #phase: CoroutinePhase = CREATED;
  #fn: (...args: never[]) => unknown;
  #args: readonly unknown[];
  #value: unknown = undefined;

  /** Use `coroutine(fn)`. */
  constructor(name: string, fn: (...args: never[]) => unknown, args: readonly unknown[]) {
    super();
    this.name = name;
    this.#fn = fn;
    this.#args = args;
    reportDropped.made(this);
  }

  /** @internal */
  _begin(strand: Strand): Steppable {
    this.#claim();
    return iteratorOf(openBody(strand, this.#fn, this.#args));
  }

  #claim(): void {
    if (this.#phase !== CREATED) {
      throw new UsageError(
        "COROUTINE_REUSED",
        `cannot reuse already awaited coroutine '${this.name}': call the function again for a new one`,
      );
    }
    this.#phase = ENTERED;
    reportDropped.awaited(this);
  }

  /** @internal */
  _finish(value: unknown): void {
    this.#phase = RETURNED;
    this.#value = value;
  }

  /** @internal */
  _fail(): void {
    this.#phase = THREW;
  }

  /** Closes a coroutine that will not run, so that debug mode does not report it as never awaited. */
  close(): void {
    if (this.#phase !== CREATED) return;
    this.#phase = RETURNED;
    reportDropped.awaited(this);
  }

  /** Called by `yield*`. */
  override [Symbol.iterator](): this {
    if (this.#phase !== CREATED) this.#claim();
    return this;
  }

  /** Called by `yield*`. */
  next(): IteratorResult<never, T> {
    if (machine.probe !== null) return probed(CALLED) as never;
    if (this.#phase === RETURNED) {
      const value = this.#value as T;
      this.#value = undefined;
      return returned(value);
    }
    checkStepped();
    machine.called = this;
    return CALLED as never;
  }

  /** Called by `yield*`. */
  throw(error: unknown): IteratorResult<never, T> {
    throw error;
  }

  /** @internal */
  _describe(): string {
    const state = ["not started", "running", "finished", "finished"][this.#phase];
    return `<coroutine ${this.name}() ${state}>`;
  }
}

describesItself(Coroutine);

/** The type of `coroutine(fn)`: a function whose calls return coroutines. */
export interface CoroutineFunction<A extends unknown[], T> {
  (...args: A): Coroutine<T>;
  /** The wrapped function. */
  readonly wrapped: (...args: A) => Awaitable<T>;
}

/**
 * Makes a coroutine function of a `function*` or an `async` function. A call returns a Coroutine that has not started
 * and has the function's name. It is awaited once, with `yield*` or `await`. A resumption costs the same at any depth,
 * and the coroutine is shown in the call graph of its task.
 *
 * ```ts
 * import { coroutine, run, sleep } from "@taskloom/loop";
 *
 * const add = coroutine(function* add(a: number, b: number) {
 *   yield* sleep(1);
 *   return a + b;
 * });
 * console.log(await run(add(1, 2))); // 3
 * ```
 */
export function coroutine<A extends unknown[], T>(fn: (...args: A) => Awaitable<T>): CoroutineFunction<A, T> {
  const make = (...args: A): Coroutine<T> =>
    new Coroutine<T>(fn.name === "" ? "<anonymous>" : fn.name, fn, args);
  Object.defineProperty(make, "name", { value: fn.name, configurable: true });
  return Object.assign(make, { wrapped: fn });
}

/**
 * Returns whether `value` is a coroutine: the result of a call of a `coroutine(fn)`, or a generator object.
 *
 * ```ts
 * import { coroutine, isCoroutine } from "@taskloom/loop";
 *
 * const nothing = coroutine(async () => {});
 * const call = nothing();
 * console.log(isCoroutine(call), isCoroutine(nothing)); // true false
 * call.close();
 * ```
 */
export function isCoroutine(
  value: unknown,
): value is Coroutine<unknown> | Generator<unknown, unknown, unknown> {
  return value instanceof Coroutine || Object.prototype.toString.call(value) === "[object Generator]";
}

const tag = (value: unknown): string =>
  typeof value === "function" ? Object.prototype.toString.call(value) : "";

/**
 * Returns whether a call of `value` returns an awaitable: for a `coroutine(fn)`, a `function*` or an `async` function.
 *
 * ```ts
 * import { isCoroutineFunction } from "@taskloom/loop";
 *
 * console.log(isCoroutineFunction(async () => {}), isCoroutineFunction(() => {})); // true false
 * ```
 */
export function isCoroutineFunction(value: unknown): value is (...args: never[]) => Awaitable<unknown> {
  return (
    tag(value) === "[object AsyncFunction]" ||
    tag(value) === "[object GeneratorFunction]" ||
    (typeof value === "function" && "wrapped" in value && typeof value.wrapped === "function")
  );
}

/**
 * Returns whether `value` is an `async function*`.
 *
 * ```ts
 * import { isAsyncGeneratorFunction } from "@taskloom/loop";
 *
 * console.log(isAsyncGeneratorFunction(async function* () {}), isAsyncGeneratorFunction(async () => {})); // true false
 * ```
 */
export function isAsyncGeneratorFunction(
  value: unknown,
): value is (...args: never[]) => AsyncGenerator<unknown, unknown, unknown> {
  return tag(value) === "[object AsyncGeneratorFunction]";
}
