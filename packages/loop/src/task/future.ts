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
  /** The future's loop; by default the running loop, else that of `getEventLoop()`. */
  loop?: Loop;
}

/**
 * A result that is not there yet. Code awaits it with `yield*` or `await`, and the code that made it settles it
 * once. Its callbacks and its awaiters always continue through the loop's ready queue, never at once.
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

  /** Returns the future's loop. */
  getLoop(): UserLoop {
    return this._loop._asEventLoop();
  }

  /**
   * Returns the result.
   *
   * @throws the error of a future that failed.
   * @throws {@link CancelledError} if the future was cancelled.
   * @throws {@link InvalidStateError} if the future is not done.
   */
  result(): T {
    if (this._state === FULFILLED) return this._value as T;
    if (this._state === PENDING) {
      throw new InvalidStateError("Result is not ready: await the future, or check done() first");
    }
    throw this._error();
  }

  /**
   * Returns the error of a future that failed; undefined if it has a result.
   *
   * @throws {@link CancelledError} if the future was cancelled.
   * @throws {@link InvalidStateError} if the future is not done.
   */
  exception(): unknown {
    if (this._state === CANCELLED) throw this._cancelledError();
    if (this._state === PENDING) {
      throw new InvalidStateError("Exception is not set: await the future, or check done() first");
    }
    if (this._state === FULFILLED) return undefined;
    return this._error();
  }

  /**
   * Settles the future with a result.
   *
   * @throws {@link InvalidStateError} if the future is done already.
   */
  setResult(result: T): void {
    if (this._state !== PENDING) throw this.#settledTwice();
    this._settle(FULFILLED, result);
  }

  /**
   * Settles the future with an error.
   *
   * @throws {@link InvalidStateError} if the future is done already.
   */
  setException(error: unknown): void {
    if (this._state !== PENDING) throw this.#settledTwice();
    this._settle(UNRETRIEVED, error);
  }

  #settledTwice(): InvalidStateError {
    return new InvalidStateError(`${describeFuture(this)} is done already: settle a future once`);
  }

  /** Calls `callback(future)` through the ready queue once the future is done. */
  addDoneCallback(callback: (future: this) => unknown): void {
    if (typeof callback !== "function") {
      throw new ArgumentError(`Expected a function as done callback, got ${inspect(callback)}`);
    }
    this._addWaker(new DoneCallback(callback as never, null));
  }

  /** @internal Adds a callback of this package. `towards` is the future or the strand that waits behind it. */
  _addLink(callback: (future: this) => unknown, towards: AnyFuture | Strand): void {
    this._addWaker(new DoneCallback(callback as never, towards));
  }

  /** Removes every occurrence of `callback`, and returns their number. */
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
 * Returns whether `value` is a Future. Each Task is a Future.
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
