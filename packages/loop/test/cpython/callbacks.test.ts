import { getRunningLoop, sleep } from "@taskloom/loop";
import type { Future } from "@taskloom/loop";
import { expect, test } from "vitest";

import { inVirtualTime } from "./virtual-time.ts";

// CPython: Lib/test/test_asyncio/test_futures.py, test_base_events.py, test_events.py.

test("a done callback runs through the ready queue, in time and late (test_schedule_callbacks, test_add_done_callback)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const log: string[] = [];
    const future = loop.createFuture<number>();
    future.addDoneCallback(() => log.push("in time"));
    future.setResult(1);
    expect(log).toEqual([]);
    yield* sleep(0);
    expect(log).toEqual(["in time"]);
    future.addDoneCallback((done) => log.push(`late ${done === (future as Future<unknown>)}`));
    expect(log).toEqual(["in time"]);
    yield* sleep(0);
    expect(log).toEqual(["in time", "late true"]);
  }));

test("an iteration runs only what was ready at its start (test__run_once)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const seen: [string, number][] = [];
    const note = (name: string): void => void seen.push([name, loop._iterations]);
    loop.callSoon(() => {
      note("a");
      loop.callSoon(() => {
        note("c");
        loop.callSoon(note, "e");
      });
    });
    loop.callSoon(() => {
      note("b");
      loop.callSoon(note, "d");
    });
    yield* sleep(1);
    const start = seen[0]![1];
    expect(seen.map(([name, iteration]) => [name, iteration - start])).toEqual([
      ["a", 0],
      ["b", 0],
      ["c", 1],
      ["d", 1],
      ["e", 2],
    ]);
  }));

test("an iteration that the time budget interrupts goes on as the same one", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const seen: [number, number][] = [];
    const busy = (generation: number): void => {
      const until = performance.now() + 0.02;
      while (performance.now() < until);
      seen.push([generation, loop._iterations]);
      if (generation < 2) loop.callSoon(busy, generation + 1);
      loop.callLater(0, () => seen.push([10 + generation, loop._iterations]));
    };
    for (let i = 0; i < 400; i++) loop.callSoon(busy, 0);
    yield* sleep(1);
    const first = seen[0]![1];
    const expected: [number, number][] = [];
    // Each generation makes the next one ready, and adds timers that are due after it.
    for (const [generation, iteration] of [
      [0, 0],
      [1, 1],
      [10, 1],
      [2, 2],
      [11, 2],
      [12, 3],
    ] as const) {
      for (let i = 0; i < 400; i++) expected.push([generation, iteration]);
    }
    expect(seen.map(([generation, iteration]) => [generation, iteration - first])).toEqual(expected);
  }));

test("negative and equal delays run in order (test_call_later_negative_delays)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const log: string[] = [];
    const note = (name: string): void => void log.push(name);
    loop.callLater(1, note, "1 first");
    loop.callLater(-1, note, "a");
    loop.callLater(-2, note, "b");
    loop.callLater(0, note, "zero");
    loop.callLater(1, note, "1 second");
    loop.callAt(loop.time() + 1, note, "1 third");
    loop.callSoon(note, "soon");
    yield* sleep(2);
    expect(log).toEqual(["soon", "b", "a", "zero", "1 first", "1 second", "1 third"]);
  }));

test("timers that are due queue behind what is ready already", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const log: string[] = [];
    loop.callLater(0, () => log.push("timer"));
    loop.callSoon(() => log.push("soon 1"));
    loop.callSoon(() => log.push("soon 2"));
    yield* sleep(0);
    expect(log).toEqual(["soon 1", "soon 2"]);
    yield* sleep(0);
    expect(log).toEqual(["soon 1", "soon 2", "timer"]);
  }));

test("removing a callback that is dispatched already has no effect (test_schedule_callbacks_list_mutation_1)", () =>
  inVirtualTime(function* () {
    const future = getRunningLoop().createFuture<null>();
    const log: string[] = [];
    const removed: number[] = [];
    const mutate = (): void => {
      log.push("mutate");
      removed.push(future.removeDoneCallback(other));
    };
    const other = (): void => void log.push("other");
    future.addDoneCallback(mutate);
    future.addDoneCallback(mutate);
    future.addDoneCallback(other);
    future.setResult(null);
    yield* sleep(0);
    expect(log).toEqual(["mutate", "mutate", "other"]);
    expect(removed).toEqual([0, 0]);
  }));

test("removeDoneCallback removes every instance and says how many (test_remove_done_callback)", () =>
  inVirtualTime(function* () {
    const future = getRunningLoop().createFuture<null>();
    const log: string[] = [];
    const first = (): void => void log.push("first");
    const second = (): void => void log.push("second");
    future.addDoneCallback(first);
    future.addDoneCallback(second);
    future.addDoneCallback(first);
    expect(future.removeDoneCallback(first)).toBe(2);
    expect(future.removeDoneCallback(first)).toBe(0);
    future.setResult(null);
    yield* sleep(0);
    expect(log).toEqual(["second"]);
  }));

test("an error in a callback goes to the exception handler; the other callbacks run", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const log: unknown[] = [];
    loop.setExceptionHandler((_loop, context) => log.push(context.exception));
    const boom = new Error("boom");
    loop.callSoon(() => {
      throw boom;
    });
    loop.callSoon(() => log.push("next"));
    yield* sleep(0);
    expect(log).toEqual([boom, "next"]);
  }));

test("a callback that cancels its own handle and fails is reported like any other", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const messages: string[] = [];
    loop.setExceptionHandler((_loop, context) => messages.push(context.message));
    const handle = loop.callLater(
      1,
      function once(_argument: string) {
        handle.cancel();
        throw new Error("after that");
      },
      "argument",
    );
    yield* sleep(2);
    expect(messages).toEqual(["Exception in callback once('argument')"]);
  }));

test("a cancelled handle never runs, not even when it is ready", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const log: string[] = [];
    const soon = loop.callSoon(() => log.push("soon"));
    const timer = loop.callLater(1, () => log.push("timer"));
    loop.callLater(1, () => log.push("neighbour"));
    soon.cancel();
    timer.cancel();
    expect([soon.cancelled(), timer.cancelled()]).toEqual([true, true]);
    yield* sleep(2);
    expect(log).toEqual(["neighbour"]);
    // A due timer is in the ready queue; an earlier callback can still cancel it.
    const late = loop.callLater(1, () => log.push("late"));
    yield* sleep(0);
    loop.callAt(loop.time() + 1, () => log.push("after"));
    const killer = loop.callAt(loop.time() + 0.5, () => late.cancel());
    yield* sleep(2);
    expect(killer.cancelled()).toBe(false);
    expect(log).toEqual(["neighbour", "after"]);
  }));
