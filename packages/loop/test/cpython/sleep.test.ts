import {
  ArgumentError,
  CancelledError,
  coroutine,
  createTask,
  gather,
  getRunningLoop,
  sleep,
  UsageError,
} from "@taskloom/loop";
import { expect, test } from "vitest";

import { inVirtualTime, raised } from "./virtual-time.ts";

// CPython: Lib/test/test_asyncio/test_tasks.py.

test("sleep takes its time and gives its result (test_sleep)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    expect(yield* sleep(50)).toBeUndefined();
    expect(yield* sleep(50, "result")).toBe("result");
    expect(yield* sleep(0, "at once")).toBe("at once");
    expect(yield* sleep(-5, "at once")).toBe("at once");
    expect(yield* sleep(0)).toBeUndefined();
    expect(loop.time()).toBe(100);
    const rounds = coroutine(function* () {
      const seen: unknown[] = [];
      for (let i = 0; i < 3; i++) seen.push(yield* sleep(0, i), yield* sleep(0));
      return seen;
    });
    expect(yield* gather([rounds(), rounds()])).toEqual([
      [0, undefined, 1, undefined, 2, undefined],
      [0, undefined, 1, undefined, 2, undefined],
    ]);
  }));

test("a cancelled sleep leaves no timer behind (test_sleep_cancel)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const task = createTask(function* () {
      yield* sleep(10_000, "yeah");
    });
    yield* sleep(0);
    expect(loop.metrics().timers).toBe(1);
    task.cancel();
    expect(yield* raised(task)).toBeInstanceOf(CancelledError);
    expect(loop.metrics().timers).toBe(0);
    expect(loop.time()).toBe(0);
  }));

test("a cancel that arrives at a sleep(0) is thrown there", () =>
  inVirtualTime(function* () {
    const task = createTask(function* () {
      const errors = [yield* raised(sleep(0)), yield* raised(sleep(0, "x"))];
      return errors.map((error) => error.message);
    });
    getRunningLoop().callSoon(() => task.cancel("one"));
    yield* sleep(0);
    getRunningLoop().callSoon(() => task.cancel("two"));
    expect(yield* task).toEqual(["one", "two"]);
  }));

test("a sleep is used once, and takes a number (test_sleep_when_delay_is_nan)", () =>
  inVirtualTime(function* () {
    const nap = sleep(1);
    yield* nap;
    expect(yield* raised(nap)).toBeInstanceOf(UsageError);
    expect(() => sleep(Number.NaN)).toThrow(ArgumentError);
    expect(() => sleep("1" as never)).toThrow(ArgumentError);
    expect(() => sleep([1] as never)).toThrow("got [ 1 ]");
  }));
