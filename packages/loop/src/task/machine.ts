import { UsageError } from "../errors.ts";
import type { AnyFuture, Frame, Strand } from "./strand.ts";

/**
 * What an awaitable's iterator hands up through every `yield*` to the strand that runs it.
 *
 * These four objects are made once and are recognised by identity: a suspension allocates nothing, and a
 * bare `yield` by user code (a fresh object) is told apart for free. What is waited for travels beside
 * them, in `machine`.
 */
export type Suspension = { done: false; value: undefined };

/** `machine.awaited` is what the strand now waits for. */
export const SUSPENDED: Suspension = { done: false, value: undefined };
/** The strand gives way for one iteration: sleep(0). */
export const PAUSED: Suspension = { done: false, value: undefined };
/** `machine.called` is a coroutine that the strand must run before it goes on: a call without native nesting. */
export const CALLED: Suspension = { done: false, value: undefined };

const finished: { done: true; value: unknown } = { done: true, value: undefined };
/** The end of an iterator; the one object is reused, because `yield*` reads it at once. */
export function returned<T>(value: T): IteratorReturnResult<T> {
  finished.value = value;
  return finished as IteratorReturnResult<T>;
}

/**
 * The registers of the interpreter that the kernel is. JavaScript runs one strand at a time, so one set is
 * enough for every loop of the thread.
 */
export const machine: {
  /** The strand that is being stepped. Null between steps, and in microtasks. */
  strand: Strand | null;
  /** Goes with SUSPENDED. */
  awaited: AnyFuture | null;
  /** Goes with CALLED. */
  called: Frame | null;
  /** Set while a step calls an `async` function: what that does until its first await is its own, not the generator's. */
  inAsync: boolean;
  /** Set for the one `next()` that resumes a strand from PAUSED. */
  resumed: boolean;
  /**
   * While set, resuming a suspended generator changes nothing: its innermost awaitable records the stack
   * here and suspends again. This is how a task's position is read without paying for it beforehand.
   */
  probe: { stack: string } | null;
} = { strand: null, awaited: null, called: null, inAsync: false, resumed: false, probe: null };

/**
 * Whoever iterates an awaitable must be a strand, which takes what it is told before it asks again: a spread,
 * or a deep comparison in a test, would go round forever.
 */
export function checkStepped(): void {
  if (machine.strand === null || machine.awaited !== null) {
    throw new UsageError("NOT_IN_TASK", "an awaitable is not a list: write `yield*` in a task, or `await`");
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
