import { CancelledError, UsageError } from "../errors.ts";
import { describe } from "../describe.ts";
import { isGenerator, resume, resumeWithError } from "./generator-object.ts";
import { leavesOf } from "./leaves.ts";
import { CALLED, machine, PAUSED, SUSPENDED } from "./machine.ts";
import { AWAITING, FULFILLED, PAUSING, RETURNING, RUNNING, THROWING, YIELDING } from "./states.ts";
import type { AnyFuture, Frame, Steppable, Strand } from "./strand.ts";

/** Resumes a strand whose turn it is, in its own context. */
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
        // The strand was cancelled before it began, so the body never runs.
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

/** Resumes the top of the stack, and follows its calls and returns until the strand suspends or ends. */
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

/** Returns from a wrapped coroutine to its caller. */
function leave(strand: Strand, frame: Frame): Steppable {
  const gen = frame._outerGen!;
  strand._frame = frame._outer;
  strand._gen = gen;
  frame._outer = null;
  frame._outerGen = null;
  return gen;
}

function suspend(strand: Strand, awaited: AnyFuture): void {
  if (awaited._loop !== strand._loop) {
    throwNext(
      strand,
      strand._loop._refusal(`${describe(awaited)} of another loop`) ?? new UsageError(
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

/** Passes a cancellation to each awaited object of a strand: to its native leaves, else to its waiter. */
export function deliver(strand: Strand, message: string | undefined): boolean {
  let taken = false;
  for (const leaf of leavesOf(strand)) if (leaf._deliver(message)) taken = true;
  if (!taken && strand._waiter !== null) taken = strand._waiter.cancel(message);
  return taken;
}
