import type { AsyncResource } from "node:async_hooks";
import type { EventLoop } from "../kernel/event-loop.ts";
import type { Runnable } from "../kernel/ready-queue.ts";
import { CALLED, machine, PAUSED, SUSPENDED } from "../kernel/machine.ts";
import { CancelledError, UsageError } from "../errors.ts";
import { describe } from "../diagnosis/describe.ts";
import type { Coroutine } from "./coroutine.ts";
import { FULFILLED } from "./future-core.ts";
import type { FutureCore, Waker } from "./future-core.ts";
import { leavesOf } from "./leaves.ts";
import type { Leaves } from "./leaves.ts";
import { isGenerator, resume, resumeWithError } from "./generator-object.ts";
import type { Task } from "./task.ts";

/** What a strand steps: a generator, or one of the kernel's iterators that behave like one. */
export interface Steppable {
  /** @internal */
  next(value?: unknown): IteratorResult<unknown, unknown>;
  /** @internal */
  throw(error: unknown): IteratorResult<unknown, unknown>;
}

/** `_phase` of a strand. */
export const UNSTARTED = 0;
/** Waits for `_waiter`, or (once that is done) for its turn in the ready queue. */
export const AWAITING = 1;
/** In the ready queue, suspended in sleep(0). */
export const PAUSING = 2;
/** In the ready queue, suspended in a bare `yield`. */
export const YIELDING = 3;
/** In the ready queue, to be resumed with the error in `_value`: it misused the kernel. */
export const THROWING = 4;
/** Being stepped now. */
export const RUNNING = 5;
export const ENDED = 6;
/** AWAITING, while a cancellation is passed on to what is awaited: coming back here means tasks await each other. */
export const CANCELLING = 7;
/** In the ready queue: the `async` body that it called has ended. No suspension, so no cancellation is thrown there. */
export const RETURNING = 8;

/**
 * One line of execution: a stack of coroutines of which the top is stepped. A generator task is one. An
 * awaitable routine (a scope, a lock, a wrapped coroutine) that is awaited from an `async` function is
 * another, a Branch, within the same task.
 *
 * Invariants (`_phase`): the strand is in the ready queue at most once; it is there exactly in UNSTARTED,
 * PAUSING, YIELDING, THROWING, RETURNING, and in AWAITING when `_waiter` is done. `_waiter` is null in every
 * phase but AWAITING and RETURNING. `_gen` is the generator to resume; `_frame` the wrapped coroutine it belongs to, whose `_outer`
 * and `_outerGen` are those of its caller: resuming costs the same at any depth.
 */
export interface Strand extends Runnable, Waker {
  /** @internal */
  readonly _loop: EventLoop;
  /** @internal */
  readonly _task: Task<unknown>;
  /** @internal The strand whose `async` function awaits this one; null for a task. */
  readonly _parent: Strand | null;
  /** @internal */
  _phase: number;
  /** @internal */
  _gen: Steppable | null;
  /** @internal */
  _frame: Coroutine<unknown> | null;
  /** @internal */
  _waiter: FutureCore<unknown> | null;
  /** @internal */
  _leaves: Leaves;
  /** @internal How many native bodies (promises of `async` functions that the kernel called) are unsettled. */
  _bodies: number;
  /** @internal */
  _context: AsyncResource | null;
  /** @internal */
  _thrown: unknown;
  /** @internal The innermost open deadline scope. */
  _scope: DeadlineScope | null;

  /** @internal Begins: gives the generator to step. */
  _open(): Steppable;
  /** @internal */
  _finish(value: unknown): void;
  /** @internal */
  _fail(error: unknown): void;
  /**
   * @internal The cancellation that is to be thrown now, or null: a request that found nothing to cancel. At a
   * call, which is no suspension, only one that came during native work is (see requests.ts).
   */
  _takeCancel(error: unknown, isCall?: boolean): CancelledError | null;
  /** @internal At a new suspension: passes a waiting cancellation on to what is now waited for. */
  _passCancel(waiter: FutureCore<unknown>): void;
  /** @internal Asks everything that is waited for to cancel. */
  _deliver(message: string | undefined): boolean;
  cancel(message?: string): boolean;
  /** @internal The kind of a request that nothing has taken yet; see requests.ts. */
  _pending: number;
  /** @internal Requests to cancel this strand itself that are open. */
  _cancels: number;
  /** @internal How many requests to cancel are open here and in the strands around it. */
  _requests(): number;
  /** @internal Withdraws one request, an own one before one of the strands around it; returns how many are left. */
  _withdraw(): number;
  /** @internal Withdraws one request and makes it again, so that the next suspension throws. */
  _recancel(): void;
  /** @internal */
  _signal(): AbortSignal;
}

/** A scope with a deadline, innermost first. */
export interface DeadlineScope {
  /** @internal */
  readonly _outer: DeadlineScope | null;
  /** @internal The deadline while the scope is open; null without one, and afterwards. */
  _deadline(): number | null;
}

export function step(strand: Strand): void {
  if (strand._context !== null) strand._context.runInAsyncScope(advance, undefined, strand);
  else advance(strand);
}

function advance(strand: Strand): void {
  let failed = false;
  let error: unknown;
  const phase = strand._phase;
  const waiter = strand._waiter;
  if (waiter !== null) {
    strand._waiter = null;
    if (waiter._state !== FULFILLED) {
      failed = true;
      error = waiter._error();
    }
  } else if (phase === THROWING) {
    failed = true;
    error = strand._thrown;
    strand._thrown = undefined;
  }
  const cancel = phase === RETURNING ? null : strand._takeCancel(error);
  if (cancel !== null) {
    failed = true;
    error = cancel;
  }
  strand._phase = RUNNING;
  const outer = machine.strand;
  machine.strand = strand;
  try {
    let gen = strand._gen;
    if (gen === null) {
      if (failed) {
        // Cancelled before it began: the body never runs.
        strand._fail(error);
        return;
      }
      try {
        gen = strand._gen = strand._open();
      } catch (thrown) {
        strand._fail(thrown);
        return;
      }
    }
    const monitor = strand._loop._monitor;
    if (monitor !== null && failed && error instanceof CancelledError) monitor.cancelDelivered(strand);
    drive(strand, gen, failed, error, phase === PAUSING && !failed);
    monitor?.stepped(strand);
  } finally {
    machine.strand = outer;
  }
}

/** Resumes the top of the stack, and goes on with what it calls and returns to, until the strand suspends or ends. */
function drive(strand: Strand, start: Steppable, threw: boolean, reason: unknown, resumed: boolean): void {
  let gen = start;
  let failed = threw;
  let value = reason;
  machine.resumed = resumed;
  for (;;) {
    let result: IteratorResult<unknown, unknown>;
    try {
      if (isGenerator(gen)) result = failed ? resumeWithError(gen, value) : resume(gen, value);
      else result = failed ? gen.throw(value) : gen.next(value);
    } catch (thrown) {
      const frame = strand._frame;
      if (frame === null || frame._outerGen === null) {
        strand._fail(thrown);
        return;
      }
      frame._fail();
      gen = leave(strand, frame);
      failed = true;
      value = thrown;
      continue;
    }
    if (result === SUSPENDED) {
      strand._phase = AWAITING;
      const awaited = machine.awaited!;
      machine.awaited = null;
      suspend(strand, awaited);
      return;
    }
    if (result === PAUSED) {
      strand._phase = PAUSING;
      strand._loop._push(strand);
      return;
    }
    if (result === CALLED) {
      const callee = machine.called!;
      machine.called = null;
      try {
        const inner = callee._begin(strand);
        callee._outer = strand._frame;
        callee._outerGen = gen;
        strand._frame = callee;
        gen = strand._gen = inner;
        failed = false;
      } catch (thrown) {
        failed = true;
        value = thrown;
        continue;
      }
      value = undefined;
      continue;
    }
    if (result.done === true) {
      const frame = strand._frame;
      value = result.value;
      if (frame === null || frame._outerGen === null) {
        strand._finish(value);
        return;
      }
      frame._finish(value);
      gen = leave(strand, frame);
      failed = false;
      continue;
    }
    strayYield(strand, result.value);
    return;
  }
}

/** Back to the caller of a wrapped coroutine. */
function leave(strand: Strand, frame: Coroutine<unknown>): Steppable {
  const gen = frame._outerGen!;
  strand._frame = frame._outer;
  strand._gen = gen;
  frame._outer = null;
  frame._outerGen = null;
  return gen;
}

function suspend(strand: Strand, awaited: FutureCore<unknown>): void {
  if (awaited._loop !== strand._loop) {
    throwNext(
      strand,
      new UsageError(
        "WRONG_LOOP",
        `${describe(strand._task)} awaited ${describe(awaited)}, which is attached to a different loop`,
      ),
    );
    return;
  }
  if ((awaited as unknown) === strand._task) {
    throwNext(
      strand,
      new UsageError("AWAITS_ITSELF", `Task cannot await on itself: ${describe(strand._task)}`),
    );
    return;
  }
  strand._waiter = awaited;
  awaited._addWaker(strand);
  strand._passCancel(awaited);
}

function strayYield(strand: Strand, value: unknown): void {
  if (value === undefined) {
    strand._phase = YIELDING;
    strand._loop._push(strand);
    return;
  }
  throwNext(
    strand,
    new UsageError(
      "BAD_YIELD",
      `${describe(strand._task)} yielded ${describe(value)}: write \`yield*\` for an awaitable, ` +
        "and `yield* ensureFuture(promise)` for a promise",
    ),
  );
}

function throwNext(strand: Strand, error: Error): void {
  strand._phase = THROWING;
  strand._thrown = error;
  strand._loop._push(strand);
}

/** Passes a cancellation to everything that a strand waits for: its native leaves, or else its waiter. */
export function deliver(strand: Strand, message: string | undefined): boolean {
  let taken = false;
  for (const leaf of leavesOf(strand)) if (leaf._deliver(message)) taken = true;
  if (!taken && strand._waiter !== null) taken = strand._waiter.cancel(message);
  return taken;
}
