import { describe } from "../describe.ts";
import { ArgumentError, UsageError } from "../errors.ts";
import type { Loop } from "../kernel/loop.ts";
import { checkStepped, machine, PAUSED, probed, returned } from "../task/machine.ts";
import type { Timer } from "../kernel/timer-heap.ts";
import { currentLoop } from "../task/running.ts";
import { awaitFuture, awaitPause, loopOf } from "../task/native-await.ts";
import { FutureCore } from "../task/future-core.ts";
import { CANCELLED, FULFILLED, PENDING } from "../task/states.ts";
import { Operation } from "../task/operation.ts";
import type { Strand } from "../task/strand.ts";

/**
 * A sleep: future, timer and handle in one object. `sleep()` creates it, and awaiting it starts the timer;
 * until then, `_loop` is null. `_value` has the result from the start.
 */
class Sleep<T> extends FutureCore<T> implements Timer {
  _sequence = 0;
  readonly #ms: number;

  constructor(ms: number, result: T) {
    super(null as never);
    this.#ms = ms;
    this._value = result;
  }

  get _dead(): boolean {
    return this._state !== PENDING;
  }

  /** Settles the sleep when its time is up. */
  _run(): void {
    if (this._state === PENDING) this._settle(FULFILLED, this._value);
  }

  override cancel(message?: string): boolean {
    if (!super.cancel(message)) return false;
    if (this._sequence > 0) this._loop._timerCancelled();
    return true;
  }

  override [Symbol.iterator](): this {
    this.#start(currentLoop());
    return this;
  }

  #start(loop: Loop): void {
    if (this._loop !== null) {
      throw new UsageError("COROUTINE_REUSED", "cannot reuse already awaited sleep(): call sleep() again");
    }
    this._loop = loop;
    loop._checkClosed();
    loop._addTimer(loop.time() + this.#ms, this);
  }

  override _awaitFrom(
    strand: Strand | null,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ): void {
    try {
      this.#start(loopOf(strand));
    } catch (error) {
      reject(error);
      return;
    }
    awaitFuture(this, strand, resolve, reject);
  }

  override _describe(): string {
    const state = this._state === CANCELLED ? "cancelled" : this._state === PENDING ? "pending" : "finished";
    return `<sleep(${this.#ms}) ${state}>`;
  }
}

/**
 * The operation of `sleep(0)`: one iteration without an allocation. All calls share one object, which can be
 * awaited many times.
 */
class Pause extends Operation<undefined> {
  next(): IteratorResult<never, undefined> {
    if (machine.probe !== null) return probed(PAUSED) as never;
    if (machine.resumed) {
      machine.resumed = false;
      return returned(undefined);
    }
    checkStepped();
    return PAUSED as never;
  }

  throw(error: unknown): IteratorResult<never, undefined> {
    throw error;
  }

  override _awaitFrom(
    strand: Strand | null,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ): void {
    awaitPause(strand, resolve, reject);
  }

  _describe(): string {
    return "<sleep(0)>";
  }
}

class PauseWith<T> extends Operation<T> {
  readonly #result: T;
  #isResumed = false;
  constructor(result: T) {
    super();
    this.#result = result;
  }
  next(): IteratorResult<never, T> {
    if (machine.probe !== null) return probed(PAUSED) as never;
    if (this.#isResumed) {
      machine.resumed = false;
      return returned(this.#result);
    }
    this.#isResumed = true;
    checkStepped();
    return PAUSED as never;
  }
  throw(error: unknown): IteratorResult<never, T> {
    throw error;
  }
}

const PAUSE = new Pause();

/**
 * Whether listing `work` twice means two pieces of work: for a function, and for `sleep(0)`, whose calls
 * share one object.
 */
export function isRepeatable(work: unknown): boolean {
  return typeof work === "function" || work === PAUSE;
}

/** The result of `sleep`. The time starts when it is awaited or made a task. */
export type Sleeping<T> = Pick<Operation<T>, "then" | "catch" | "finally"> & {
  [Symbol.iterator](): Iterator<never, T>;
};

/**
 * Waits for `ms` milliseconds, then returns `result`. The time starts when the sleep is awaited. `sleep(0)`
 * first runs all other entries that are ready.
 *
 * ```ts
 * import { run, sleep } from "@taskloom/loop";
 *
 * await run(function* () {
 *   console.log(yield* sleep(5, "five milliseconds later"));
 * });
 * ```
 *
 * @throws {@link ArgumentError} if `ms` is not a number.
 */
export function sleep(ms: number): Sleeping<undefined>;
export function sleep<T>(ms: number, result: T): Sleeping<T>;
export function sleep<T>(ms: number, result?: T): Sleeping<T | undefined> {
  expectMilliseconds(ms);
  if (ms <= 0) return result === undefined ? PAUSE : new PauseWith(result);
  return new Sleep<T | undefined>(ms, result);
}

/** @throws {@link ArgumentError} if `ms` is not a number. */
export function expectMilliseconds(ms: unknown): void {
  if (typeof ms === "number" && !Number.isNaN(ms)) return;
  throw new ArgumentError(`Expected \`ms\` to be a number of milliseconds, got ${describe(ms)}`);
}
