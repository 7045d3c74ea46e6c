import { getRunningLoop, sleep } from "@taskloom/loop";
import type { TimerHandle } from "@taskloom/loop";
import * as fc from "fast-check";
import { expect, test } from "vitest";

import { inVirtualTime } from "./virtual-time.ts";

// CPython: Lib/test/test_asyncio/test_base_events.py.

function never(): never {
  throw new Error("It was cancelled.");
}

test("cancelled timers at the top of the heap go at the next iteration (test__run_once_cancelled_event_cleanup)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    // With fewer than 100 timers, only cancelled timers at the top are removed.
    const kept = loop.callLater(1000, () => {});
    const first = [1, 2, 3].map((ms) => loop.callLater(ms, never));
    const deep = [2000, 3000].map((ms) => loop.callLater(ms, never));
    for (const timer of [...first, ...deep]) timer.cancel();
    expect(loop.metrics().timers).toBe(6);
    yield* sleep(0);
    expect(loop.metrics().timers).toBe(3);

    // With more than 100 timers, of which at most half are cancelled, all stay.
    const many = Array.from({ length: 101 }, (_, i) => loop.callLater(5000 + i, never));
    for (const timer of many.slice(50)) timer.cancel();
    expect(loop.metrics().timers).toBe(104);
    // The 51 and the 2 earlier ones are more than half of 104, so the heap is rebuilt.
    yield* sleep(0);
    expect(loop.metrics().timers).toBe(51);

    for (const timer of many) timer.cancel();
    kept.cancel();
    yield* sleep(0);
    expect(loop.metrics().timers).toBe(0);
    expect(loop.time()).toBe(0);
  }));

test("exactly half cancelled is not enough to rebuild", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const timers = Array.from({ length: 104 }, (_, i) => loop.callLater(1000 + i, () => {}));
    for (const timer of timers.slice(52)) timer.cancel();
    yield* sleep(0);
    expect(loop.metrics().timers).toBe(104);
    timers[51]!.cancel();
    yield* sleep(0);
    expect(loop.metrics().timers).toBe(51);
    for (const timer of timers) timer.cancel();
    // A timer that is cancelled twice, or after it ran, counts at most once.
    const ran = loop.callLater(0, () => {});
    yield* sleep(0);
    yield* sleep(0);
    ran.cancel();
    ran.cancel();
    expect(loop.metrics().timers).toBe(0);
    // A hundred timers are not more than a hundred.
    const few = Array.from({ length: 100 }, (_, i) => loop.callLater(1000 + i, () => {}));
    for (const timer of few.slice(1)) timer.cancel();
    yield* sleep(0);
    expect(loop.metrics().timers).toBe(100);
    few[0]!.cancel();
    yield* sleep(0);
    expect(loop.metrics().timers).toBe(0);
    const hundred = Array.from({ length: 101 }, (_, i) => loop.callLater(1000 + i, () => {}));
    for (const timer of hundred.slice(51)) {
      timer.cancel();
      timer.cancel();
    }
    yield* sleep(0);
    expect(loop.metrics().timers).toBe(101);
    for (const timer of hundred) timer.cancel();
  }));

test("timers run by deadline, equal ones in the order they were set, cancelled ones never", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(30), fc.nat(3), fc.nat()), { minLength: 1, maxLength: 500, size: "max" }),
      // The number of cancelled timers; if it is more than half of them, the heap is rebuilt.
      fc.nat(100),
      (steps, percent) =>
        inVirtualTime(function* () {
          const loop = getRunningLoop();
          const timers: { handle: TimerHandle; when: number; order: number }[] = [];
          const ran: number[] = [];
          for (const [delay, pause] of steps) {
            const order = timers.length;
            const handle = loop.callLater(delay, () => ran.push(order));
            timers.push({ handle, when: handle.when(), order });
            if (pause === 3 && order % 50 === 49) yield* sleep(pause);
          }
          for (const [index, [, , chance]] of steps.entries()) {
            if (chance % 100 < percent && !ran.includes(index)) timers[index]!.handle.cancel();
          }
          yield* sleep(0);
          for (let i = 0; i < 20; i++) {
            const order = timers.length;
            const handle = loop.callLater(i, () => ran.push(order));
            timers.push({ handle, when: handle.when(), order });
          }
          yield* sleep(100);
          const expected = timers
            .filter(({ handle }) => !handle.cancelled())
            .toSorted((a, b) => a.when - b.when || a.order - b.order)
            .map(({ order }) => order);
          expect(ran).toEqual(expected);
          expect(loop.metrics().timers).toBe(0);
        }),
    ),
    { numRuns: 40, seed: 1 },
  ));
