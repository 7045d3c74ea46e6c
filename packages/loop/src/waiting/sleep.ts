import { describe } from "../diagnosis/describe.ts";
import { ArgumentError, UsageError } from "../errors.ts";
import type { EventLoop } from "../kernel/event-loop.ts";
import { checkStepped, machine, PAUSED, probed, returned } from "../kernel/machine.ts";
import type { Timer } from "../kernel/timer-heap.ts";
import { currentLoop } from "../kernel/running.ts";
import { awaitFuture, awaitPause, loopOf } from "../task/native-await.ts";
import { CANCELLED, FULFILLED, FutureCore, PENDING } from "../task/future-core.ts";
import { Operation } from "../task/operation.ts";
import type { Strand } from "../task/strand.ts";

/**
 * A sleep is its future, its timer and its handle in one object, made by `sleep()` and armed when it is
 * awaited: `_loop` is null until then. Its result lies in `_value` from the start.
 */
class Sleep<T> extends FutureCore<T> implements Timer {
  _sequence = 0;
  readonly #ms: number;

  constructor(ms: number, result: T) {
    super(null as unknown as EventLoop);
    this.#ms = ms;
    this._value = result;
  }

  get _dead(): boolean {
    return this._state !== PENDING;
  }

  /** Time is up. */
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

  #start(loop: EventLoop): void {
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

/** sleep(0): gives way for one iteration, and allocates nothing. There is one of it, and it can be awaited often. */
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

const pause = new Pause();

/** Whether what is given twice is work twice: a function, and sleep(0), which is one object for all its calls. */
export function isRepeatable(work: unknown): boolean {
  return typeof work === "function" || work === pause;
}

/** What `sleep` returns: it starts when it is awaited, or made a task. */
export type Sleeping<T> = Pick<Operation<T>, "then" | "catch" | "finally"> & {
  [Symbol.iterator](): Iterator<never, T>;
};

/**
 * Waits for `ms` milliseconds, then gives `result`. It begins when it is awaited. `sleep(0)` lets everything
 * else that is ready run first. Throws an ArgumentError when `ms` is not a number.
 *
 * ```ts
 * import { run, sleep } from "@taskloom/loop";
 *
 * await run(function* () {
 *   console.log(yield* sleep(5, "five milliseconds later"));
 * });
 * ```
 */
export function sleep(ms: number): Sleeping<undefined>;
export function sleep<T>(ms: number, result: T): Sleeping<T>;
export function sleep<T>(ms: number, result?: T): Sleeping<T | undefined> {
  if (typeof ms !== "number" || Number.isNaN(ms)) {
    throw new ArgumentError(`Expected a number of milliseconds to sleep, got ${describe(ms)}`);
  }
  if (ms <= 0) return result === undefined ? pause : new PauseWith(result);
  return new Sleep<T | undefined>(ms, result);
}
