import { UsageError } from "../errors.ts";
import type { AnyFuture, Frame, Strand } from "./strand.ts";

/**
 * A mark that an awaitable's iterator passes up through every `yield*` to the strand that runs it.
 *
 * These objects are made once and are recognised by identity. A suspension therefore allocates nothing, and a
 * bare `yield` by user code (a fresh object) is recognised for free. The awaited future travels beside the mark,
 * in `machine`.
 */
export type Suspension = { done: false; value: undefined };

/** The strand suspends, and waits for `machine.awaited`. */
export const SUSPENDED: Suspension = { done: false, value: undefined };
/** The strand pauses for one iteration: sleep(0). */
export const PAUSED: Suspension = { done: false, value: undefined };
/** The strand runs the coroutine `machine.called` before it continues: a call without native nesting. */
export const CALLED: Suspension = { done: false, value: undefined };

const finished: { done: true; value: unknown } = { done: true, value: undefined };
/** Returns the end of an iterator. One object is reused, because `yield*` reads it at once. */
export function returned<T>(value: T): IteratorReturnResult<T> {
  finished.value = value;
  return finished as IteratorReturnResult<T>;
}

/**
 * The registers of the interpreter of strands. JavaScript runs one strand at a time, so one set is enough for all
 * loops of a thread.
 */
export const machine: {
  /** The strand that is stepped now. Null between steps, and in microtasks. */
  strand: Strand | null;
  /** The future that is awaited, with SUSPENDED. */
  awaited: AnyFuture | null;
  /** The coroutine that is called, with CALLED. */
  called: Frame | null;
  /** Set while a step calls an `async` function. Its code before the first await is not the generator's. */
  inAsync: boolean;
  /** Set for the one `next()` that resumes a strand from PAUSED. */
  resumed: boolean;
  /**
   * While it is set, resuming a suspended generator changes nothing: the innermost awaitable records the stack
   * here and suspends again. A task's position is read in this way, and costs nothing before that.
   */
  probe: { stack: string } | null;
} = { strand: null, awaited: null, called: null, inAsync: false, resumed: false, probe: null };

/**
 * Throws unless a strand iterates the awaitable. A strand takes the mark before it calls `next` again. A spread, or
 * a deep comparison in a test, would never end.
 */
export function checkStepped(): void {
  if (machine.strand === null || machine.awaited !== null) {
    throw new UsageError("NOT_IN_TASK", "An awaitable is not a list: write `yield*` in a task, or `await`");
  }
}

/** Records the position of the generator being probed, and suspends it again. */
export function probed(again: Suspension): Suspension {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 50;
  machine.probe!.stack = new Error("probe").stack ?? "";
  Error.stackTraceLimit = limit;
  return again;
}
