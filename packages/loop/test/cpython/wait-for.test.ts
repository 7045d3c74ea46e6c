import {
  CancelledError,
  Condition,
  coroutine,
  createTask,
  getRunningLoop,
  shield,
  sleep,
  TimeoutError,
  waitFor,
} from "@taskloom/loop";
import { expect, test } from "vitest";

import { inVirtualTime, raised } from "./virtual-time.ts";

// CPython: Lib/test/test_asyncio/test_waitfor.py, test_locks.py.

test("cancelled as the inner task finishes, it is cancelled (test_wait_for_issue86296)", () =>
  inVirtualTime(function* () {
    const inner = createTask(function* () {
      return "done";
    });
    let reachedEnd = false;
    const task = createTask(function* () {
      yield* waitFor(inner, 100);
      yield* sleep(1);
      reachedEnd = true;
    });
    yield* sleep(0);
    expect(inner.done()).toBe(true);
    task.cancel();
    expect(yield* raised(task)).toBeInstanceOf(CancelledError);
    expect(inner.result()).toBe("done");
    expect(reachedEnd).toBe(false);
  }));

test.each([5, 0])(
  "with a timeout of %i it waits for a slow clean-up (test_wait_for_waits_for_task_cancellation)",
  (ms) =>
    inVirtualTime(function* () {
      const loop = getRunningLoop();
      let cleaned = false;
      const inner = createTask(function* () {
        try {
          yield* sleep(1000);
        } catch (error) {
          yield* sleep(30);
          throw error;
        } finally {
          cleaned = true;
        }
      });
      yield* sleep(1);
      const started = loop.time();
      expect(yield* raised(waitFor(inner, ms))).toBeInstanceOf(TimeoutError);
      expect(cleaned).toBe(true);
      expect(inner.cancelled()).toBe(true);
      expect(loop.time() - started).toBe(ms + 30);
    }),
);

test("an inner value replaces the timeout (test_wait_for_cancel_suppressed)", () =>
  inVirtualTime(function* () {
    const stubborn = coroutine(function* () {
      try {
        yield* sleep(1000);
      } catch {
        return 42;
      }
      return 0;
    });
    expect(yield* waitFor(stubborn(), 10)).toBe(42);
    expect(yield* waitFor(createTask(stubborn()), 10)).toBe(42);
  }));

test.each([5, 0])(
  "an inner error replaces a timeout of %i (test_wait_for_reraises_exception_during_cancellation)",
  (ms) =>
    inVirtualTime(function* () {
      const failure = new Error("clean-up failed");
      const inner = createTask(function* () {
        try {
          yield* sleep(1000);
        } finally {
          yield* sleep(1);
          // oxlint-disable-next-line no-unsafe-finally -- an error that replaces the cancellation is the point
          throw failure;
        }
      });
      yield* sleep(1);
      expect(yield* raised(waitFor(inner, ms))).toBe(failure);
    }),
);

test.each([0, -1])("with a timeout of %i a coroutine never starts (…_0_coroutine_do_not_started)", (ms) =>
  inVirtualTime(function* () {
    let started = false;
    const body = coroutine(function* () {
      started = true;
      yield* sleep(0);
    });
    expect(yield* raised(waitFor(body(), ms))).toBeInstanceOf(TimeoutError);
    expect(started).toBe(false);
  }),
);

test.each([0, -1])("with a timeout of %i a done future gives its result (…_0_future_done)", (ms) =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const future = loop.createFuture<string>();
    future.setResult("done");
    const before = loop._iterations;
    expect(yield* waitFor(future, ms)).toBe("done");
    expect(loop._iterations - before).toBe(0);
  }),
);

test("a running task with a timeout of 0 is cancelled and waited for (test_wait_for_timeout_less_then_0_or_0)", () =>
  inVirtualTime(function* () {
    let running = false;
    const task = createTask(function* () {
      running = true;
      try {
        yield* sleep(1000);
      } finally {
        running = false;
      }
    });
    yield* sleep(0);
    expect(running).toBe(true);
    expect(yield* raised(waitFor(task, 0))).toBeInstanceOf(TimeoutError);
    expect(running).toBe(false);
    expect(task.cancelled()).toBe(true);
  }));

test("a shielded task outlives the timeout (test_shielded_timeout)", () =>
  inVirtualTime(function* () {
    const inner = createTask(function* () {
      yield* sleep(10);
      return "kept";
    });
    expect(yield* raised(waitFor(shield(inner), 5))).toBeInstanceOf(TimeoutError);
    expect(inner.done()).toBe(false);
    expect(yield* inner).toBe("kept");
  }));

test("without a timeout it just waits (test_none_timeout)", () =>
  inVirtualTime(function* () {
    const body = coroutine(function* () {
      yield* sleep(10);
      return "done";
    });
    expect(yield* waitFor(body(), null)).toBe("done");
  }));

test("Condition.wait that times out has the lock again first (test_timeout_in_block)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const condition = new Condition();
    yield* condition.acquire();
    const other = createTask(function* () {
      yield* condition.acquire();
      yield* sleep(50);
      condition.release();
    });
    expect(yield* raised(waitFor(condition.wait(), 10))).toBeInstanceOf(TimeoutError);
    expect(condition.locked()).toBe(true);
    expect(other.done()).toBe(true);
    expect(loop.time()).toBe(50);
    condition.release();
  }));
