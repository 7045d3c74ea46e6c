import type { Loop } from "../kernel/loop.ts";
import { checkStepped, machine, probed, returned, SUSPENDED } from "./machine.ts";
import { describesItself } from "../describe.ts";
import { describeFuture } from "./describe-future.ts";
import { CancelledError } from "../errors.ts";
import { awaitFuture, awaitNatively } from "./native-await.ts";
import { CANCELLED, FAILED, FULFILLED, PENDING, UNRETRIEVED } from "./states.ts";
import type { FutureState } from "./states.ts";
import type { AnyFuture, Strand, Waker } from "./strand.ts";

/**
 * The state machine of every future, lazy ones (sleep) included.
 *
 * PENDING -> FULFILLED, FAILED/UNRETRIEVED or CANCELLED, once, in `_settle`. UNRETRIEVED -> FAILED when code reads
 * the outcome. `_value` holds the result, the error, or (CANCELLED) the CancelledError for the first reader.
 * `_message` holds the message of `cancel(message)`. Result and message have slots of their own because a cancelled
 * task may hold either without the other.
 *
 * A future is its own iterator, which keeps no state: `next()` suspends the strand while the future is pending
 * and returns the result afterwards, so `yield* future` allocates nothing.
 */
export abstract class FutureCore<T> implements AnyFuture {
  /** @internal */
  _loop: Loop;
  /** @internal */
  _state: FutureState = PENDING;
  /** @internal */
  _value: unknown = undefined;
  /** @internal */
  _wakers: Waker | Waker[] | null = null;
  /** @internal */
  _message: unknown = undefined;

  /** Made by the library. */
  constructor(loop: Loop) {
    this._loop = loop;
  }

  /** Returns whether the future has a result or an error, or was cancelled. */
  done(): boolean {
    return this._state !== PENDING;
  }

  /** Returns whether the future was cancelled. */
  cancelled(): boolean {
    return this._state === CANCELLED;
  }

  /** Cancels the future. Returns false if the future is done already. */
  cancel(message?: string): boolean {
    if (this._state !== PENDING) {
      this._retrieved();
      return false;
    }
    this._message = message;
    this._settle(CANCELLED, null);
    return true;
  }

  /** @internal Settles the future. It is the only method in which the state leaves PENDING. */
  _settle(state: FutureState, value: unknown): void {
    this._state = state;
    this._value = value;
    const wakers = this._wakers;
    if (wakers !== null) {
      this._wakers = null;
      if (Array.isArray(wakers)) for (const waker of wakers) waker._wake(this);
      else wakers._wake(this);
    }
    if (state === UNRETRIEVED) this._loop._failures.recorded(this);
  }

  /** @internal Wakes `waker` when the future is done; through the ready queue even if the future is done already. */
  _addWaker(waker: Waker): void {
    if (this._state !== PENDING) {
      waker._wake(this);
      return;
    }
    const wakers = this._wakers;
    if (wakers === null) this._wakers = waker;
    else if (Array.isArray(wakers)) wakers.push(waker);
    else this._wakers = [wakers, waker];
  }

  /** @internal */
  _removeWakers(matches: (waker: Waker) => boolean): number {
    const wakers = this._wakers;
    if (wakers === null) return 0;
    if (!Array.isArray(wakers)) {
      if (!matches(wakers)) return 0;
      this._wakers = null;
      return 1;
    }
    const kept = wakers.filter((waker) => !matches(waker));
    const removed = wakers.length - kept.length;
    this._wakers = kept.length === 0 ? null : kept;
    return removed;
  }

  /** @internal */
  _retrieved(): void {
    if (this._state === UNRETRIEVED) {
      this._state = FAILED;
      this._loop._failures.retrieved(this);
    }
  }

  /** @internal Returns the error of a future that failed or was cancelled. */
  _error(): unknown {
    if (this._state === CANCELLED) return this._cancelledError();
    this._retrieved();
    return this._value;
  }

  /**
   * @internal Returns the error of a cancelled future. The error that ended a task is returned once, so that it
   * reaches the first waiter with its message. Later waiters receive a fresh error with the future's own message.
   */
  _cancelledError(): CancelledError {
    const error = this._value;
    if (this._state === CANCELLED && error instanceof CancelledError) {
      this._value = null;
      return error;
    }
    return new CancelledError(this._message as string | undefined);
  }

  [Symbol.iterator](): this {
    return this;
  }

  /** Called by `yield*`. */
  next(): IteratorResult<never, T> {
    if (machine.probe !== null) return probed(SUSPENDED) as never;
    if (this._state === FULFILLED) return returned(this._value as T);
    if (this._state === PENDING) {
      checkStepped();
      machine.awaited = this;
      return SUSPENDED as never;
    }
    throw this._error();
  }

  /** Called by `yield*`. */
  throw(error: unknown): IteratorResult<never, T> {
    throw error;
  }

  /** Returns a native promise of the outcome. `await` calls this method. */
  // oxlint-disable-next-line unicorn/no-thenable -- `await` calls this method
  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return awaitNatively<T, A, B>(this, onFulfilled, onRejected);
  }

  /** @internal */
  _awaitFrom(
    strand: Strand | null,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ): void {
    awaitFuture(this, strand, resolve, reject);
  }

  /** Handles the error of the future. */
  catch<B = never>(onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.then(null, onRejected);
  }

  /** Calls `onFinally` when the future is done. */
  finally(onFinally?: (() => void) | null): Promise<T> {
    return this.then().finally(onFinally);
  }

  /** @internal */
  _describe(): string {
    return describeFuture(this);
  }
}

describesItself(FutureCore);
