import { getRunningLoop, run } from "@taskloom/loop";
import type { Awaitable } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";

/** Runs a coroutine to its end on a loop of its own, where time passes only when nothing else can. */
export function inVirtualTime<T>(main: () => Awaitable<T>): Promise<T> {
  return run(main, { clock: virtualClock() });
}

/** What an awaitable throws; it is an error if it throws nothing. */
export function* raised(awaitable: Iterable<never, unknown>): Generator<never, Error, unknown> {
  try {
    yield* awaitable;
  } catch (error) {
    return error as Error;
  }
  throw new Error("Expected the awaitable to throw.");
}

/** How many iterations of the loop pass for the one who awaits. */
export function* iterations(start: () => Iterable<never, unknown>): Generator<never, number, unknown> {
  const before = getRunningLoop()._iterations;
  yield* start();
  return getRunningLoop()._iterations - before;
}
