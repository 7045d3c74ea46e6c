import type { AsyncResource } from "node:async_hooks";
import type { CancelledError } from "../errors.ts";
import type { Loop } from "../kernel/loop.ts";
import type { Runnable } from "../kernel/runnable.ts";
import type { FutureState, PendingRequest, Phase } from "./states.ts";

/** An object that a strand steps: a generator, or one of the kernel's iterators that behave like a generator. */
export interface Steppable {
  /** @internal */
  next(value?: unknown): IteratorResult<unknown, unknown>;
  /** @internal */
  throw(error: unknown): IteratorResult<unknown, unknown>;
}

/**
 * One line of execution: a stack of coroutines, of which the loop steps the top one. A generator task is a strand.
 * If an `async` function awaits a routine (a scope, a lock, a wrapped coroutine), that routine is another strand,
 * a Branch, within the same task.
 *
 * Invariants, by `_phase`: the strand is in the ready queue at most once. It is there exactly in UNSTARTED,
 * PAUSING, YIELDING, THROWING, RETURNING, and in AWAITING when `_waiter` is done. `_waiter` is null in every
 * phase but AWAITING and RETURNING. `_gen` is the generator to resume. `_frame` is the wrapped coroutine that
 * `_gen` belongs to, and the frame's `_outer` and `_outerGen` are those of its caller. A resumption therefore
 * costs the same at any depth.
 */
export interface Strand extends Runnable, Waker {
  /** @internal */
  readonly _loop: Loop;
  /** @internal */
  readonly _task: StrandTask;
  /** @internal The strand whose `async` function awaits this strand; null for a task. */
  readonly _parent: Strand | null;
  /** @internal */
  _phase: Phase;
  /** @internal */
  _gen: Steppable | null;
  /** @internal */
  _frame: Frame | null;
  /** @internal */
  _waiter: AnyFuture | null;
  /** @internal */
  _leaves: Leaves;
  /** @internal The number of unsettled native bodies: promises of `async` functions that the kernel called. */
  _bodies: number;
  /** @internal */
  _context: AsyncResource | null;
  /** @internal The error to resume with in THROWING. */
  _thrown: unknown;
  /** @internal The innermost open deadline scope. */
  _scope: DeadlineScope | null;

  /** @internal Begins, and returns the generator to step. */
  _open(): Steppable;
  /** @internal */
  _finish(value: unknown): void;
  /** @internal */
  _fail(error: unknown): void;
  /**
   * @internal Returns the cancellation that is to be thrown now, or null. It is a request that found nothing to
   * cancel. At a call, which is no suspension, only a request that came during native work counts (requests.ts).
   */
  _takeCancel(error: unknown, isCall?: boolean): CancelledError | null;
  /** @internal Passes a pending cancellation on to the awaited future of a new suspension. */
  _passCancel(waiter: AnyFuture): void;
  /** @internal Asks every awaited object to cancel. */
  _deliver(message: string | undefined): boolean;
  cancel(message?: string): boolean;
  /** @internal The kind of a request that nothing has taken yet; see requests.ts. */
  _pending: PendingRequest;
  /** @internal The number of open requests to cancel this strand itself. */
  _cancels: number;
  /** @internal Returns the number of open requests to cancel this strand and the strands around it. */
  _requests(): number;
  /** @internal Withdraws one request, an own one before one of the strands around it; returns the number that is left. */
  _withdraw(): number;
  /** @internal Withdraws one request and makes it again, so that the next suspension throws. */
  _recancel(): void;
  /** @internal */
  _signal(): AbortSignal;
}

/** The task of a strand, as far as its strands need it. `Task` implements it. */
export interface StrandTask {
  /** @internal */
  readonly _state: FutureState;
  /** @internal */
  readonly _loop: Loop;
  /** @internal */
  readonly _cancels: number;
  /** @internal The turn of the loop in which an `async` function of the task was last woken. */
  _wokenIn: number;
  done(): boolean;
  getName(): string;
  reportProgress(value: unknown): void;
}

/** A coroutine on the stack of a strand. `Coroutine` implements it. */
export interface Frame {
  readonly name: string;
  /** @internal */
  _outer: Frame | null;
  /** @internal */
  _outerGen: Steppable | null;
  /** @internal Begins, and returns the generator to step. */
  _begin(strand: Strand): Steppable;
  /** @internal */
  _finish(value: unknown): void;
  /** @internal */
  _fail(): void;
}

/** A future, as far as the strands that await it need it. `FutureCore` implements it. */
export interface AnyFuture {
  /** @internal */
  readonly _loop: Loop;
  /** @internal */
  readonly _state: FutureState;
  /** @internal */
  readonly _value: unknown;
  cancel(message?: string): boolean;
  /** @internal Returns the error of a future that failed or was cancelled. */
  _error(): unknown;
  /** @internal */
  _addWaker(waker: Waker): void;
}

/**
 * An object that a future wakes when it is done: it puts itself, or a callback, into the ready queue. Most futures
 * have one waker, so a future keeps one waker bare and several in an array.
 */
export interface Waker {
  /** @internal */
  _wake(future: AnyFuture): void;
  /** @internal Returns the strand or the future that waits behind the waker, for call graphs. */
  _towards(): AnyFuture | Strand | null;
}

/** A pending native await of an `async` function of a strand. */
export interface Leaf {
  /** @internal Passes a cancellation on to the awaited object; returns whether that took it. */
  _deliver(message: string | undefined): boolean;
  /** @internal The awaited object, for diagnosis. */
  readonly _waitsFor: unknown;
  /** @internal The leaf as a strand, or null for a plain await. */
  readonly _branch: Strand | null;
}

/** The leaves of a strand in the order in which they began. Most strands have one leaf, which needs no list. */
export type Leaves = Leaf | Leaf[] | null;

/** A scope with a deadline, innermost first. */
export interface DeadlineScope {
  /** @internal */
  readonly _outer: DeadlineScope | null;
  /** @internal Returns the deadline while the scope is open; null without a deadline, and afterwards. */
  _deadline(): number | null;
}

declare module "../kernel/loop.ts" {
  interface LoopMonitor {
    /** Notes that an `async` function continues after an await that the loop has settled. */
    settled(strand: Strand | null): void;
    /** Notes that a cancellation was thrown into a strand. */
    cancelDelivered(strand: Strand): void;
    /** Notes that a strand suspended or ended. */
    stepped(strand: Strand): void;
  }
}
