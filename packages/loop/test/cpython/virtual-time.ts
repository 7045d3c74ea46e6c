import { getRunningLoop, run } from "@taskloom/loop";
import type { Awaitable } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";

/** Runs a coroutine to its end on a loop of its own in virtual time. */
export function inVirtualTime<T>(main: () => Awaitable<T>): Promise<T> {
  return run(main, { clock: virtualClock() });
}

/** Returns the error that an awaitable throws, and fails if it throws none. */
export function* raised(awaitable: Iterable<never, unknown>): Generator<never, Error, unknown> {
  try {
    yield* awaitable;
  } catch (error) {
    return error as Error;
  }
  throw new Error("Expected the awaitable to throw.");
}

/** Returns the number of iterations that pass for the awaiting task. */
export function* iterations(start: () => Iterable<never, unknown>): Generator<never, number, unknown> {
  const before = getRunningLoop()._iterations;
  yield* start();
  return getRunningLoop()._iterations - before;
}
