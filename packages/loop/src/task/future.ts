import type { AsyncResource } from "node:async_hooks";
import { inspect } from "node:util";
import { ArgumentError, InvalidStateError } from "../errors.ts";
import { captureContext } from "./context.ts";
import type { Loop, UserLoop } from "../kernel/loop.ts";
import { Handle } from "../kernel/handle.ts";
import { getEventLoop } from "./running.ts";
import { describeFuture } from "./describe-future.ts";
import { FutureCore } from "./future-core.ts";
import { CANCELLED, FAILED, FULFILLED, PENDING, UNRETRIEVED } from "./states.ts";
import type { AnyFuture, Strand, Waker } from "./strand.ts";

class DoneCallback implements Waker {
  readonly fn: (future: Future<never>) => unknown;
  readonly #context: AsyncResource | null;
  readonly #towards: AnyFuture | Strand | null;
  constructor(fn: (future: Future<never>) => unknown, towards: AnyFuture | Strand | null) {
    this.fn = fn;
    this.#towards = towards;
    this.#context = captureContext();
  }
  _towards(): AnyFuture | Strand | null {
    return this.#towards;
  }
  _wake(future: AnyFuture): void {
    future._loop._push(new Handle(this.fn, [future], future._loop, this.#context));
  }
}

/** Options of a future. */
export interface FutureOptions {
  /** The loop it belongs to; by default the running one, else `getEventLoop()`. */
  loop?: Loop;
}

/**
 * A result that is not there yet. It is awaited with `yield*` or `await`, and settled once, by whoever made
 * it. Its callbacks, and whoever awaits it, always run through the loop's ready queue, never at once.
 *
 * ```ts
 * import { Future, getRunningLoop, run } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const future = new Future<string>();
 *   getRunningLoop().callLater(10, () => future.setResult("ready"));
 *   console.log(await future); // ready
 * });
 * ```
 *
 * The semantics are those of CPython 3.13's `asyncio.Future`.
 */
export class Future<T = unknown> extends FutureCore<T> {
  constructor(options: FutureOptions = {}, loop: Loop = options.loop ?? getEventLoop()) {
    super(loop);
    if (this._loop._monitor !== null) this._loop._monitor.made(this);
  }

  /** The loop that the future belongs to. */
  getLoop(): UserLoop {
    return this._loop._asEventLoop();
  }

  /**
   * The result. Throws the error the future was settled with, a CancelledError when it was cancelled, an
   * InvalidStateError when it is not done.
   */
  result(): T {
    if (this._state === FULFILLED) return this._value as T;
    if (this._state === PENDING) {
      throw new InvalidStateError("Result is not ready: await the future, or check done() first");
    }
    throw this._error();
  }

  /**
   * The error that the future was settled with, or undefined. Throws a CancelledError when it was
   * cancelled, an InvalidStateError when it is not done.
   */
  exception(): unknown {
    if (this._state === CANCELLED) throw this._cancelledError();
    if (this._state === PENDING) {
      throw new InvalidStateError("Exception is not set: await the future, or check done() first");
    }
    if (this._state === FULFILLED) return undefined;
    return this._error();
  }

  /** Settles the future with a result. Throws an InvalidStateError when it is done already. */
  setResult(result: T): void {
    if (this._state !== PENDING) throw this.#settledTwice();
    this._settle(FULFILLED, result);
  }

  /** Settles the future with an error. Throws an InvalidStateError when it is done already. */
  setException(error: unknown): void {
    if (this._state !== PENDING) throw this.#settledTwice();
    this._settle(UNRETRIEVED, error);
  }

  #settledTwice(): InvalidStateError {
    return new InvalidStateError(`${describeFuture(this)} is done already: settle a future once`);
  }

  /** Calls `callback(future)` through the ready queue when the future is done, or soon if it is already. */
  addDoneCallback(callback: (future: this) => unknown): void {
    if (typeof callback !== "function") {
      throw new ArgumentError(`Expected a function as done callback, got ${inspect(callback)}`);
    }
    this._addWaker(new DoneCallback(callback as never, null));
  }

  /** @internal A callback of ours, on the way from this future to what waits behind it. */
  _addLink(callback: (future: this) => unknown, towards: AnyFuture | Strand): void {
    this._addWaker(new DoneCallback(callback as never, towards));
  }

  /** Removes every occurrence of `callback`; says how many there were. */
  removeDoneCallback(callback: (future: this) => unknown): number {
    return this._removeWakers(
      (waker: Waker) => waker instanceof DoneCallback && (waker.fn as unknown) === callback,
    );
  }

  /** @internal */
  get _failed(): boolean {
    return this._state === FAILED || this._state === UNRETRIEVED;
  }
}

/**
 * Whether `value` is a Future (a Task is one).
 *
 * ```ts
 * import { createTask, isFuture, sleep } from "@taskloom/loop";
 *
 * const task = createTask(sleep(0));
 * console.log(isFuture(task), isFuture(Promise.resolve())); // true false
 * ```
 */
export function isFuture(value: unknown): value is Future<unknown> {
  return value instanceof Future;
}
