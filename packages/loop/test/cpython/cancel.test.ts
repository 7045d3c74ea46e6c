import {
  CancelledError,
  Condition,
  createTask,
  currentTask,
  gather,
  getRunningLoop,
  InvalidStateError,
  Lock,
  sleep,
} from "@taskloom/loop";
import type { Future, Task } from "@taskloom/loop";
import { expect, test } from "vitest";

import { inVirtualTime, raised } from "./virtual-time.ts";

// CPython: Lib/test/test_asyncio/test_tasks.py, test_locks.py.

test("a cancel after the awaited future finished in this iteration wins (test_cancel_done_future)", () =>
  inVirtualTime(function* () {
    const future = getRunningLoop().createFuture<number>();
    const log: unknown[] = [];
    const task = createTask(function* () {
      try {
        log.push(yield* future);
      } catch (error) {
        log.push((error as Error).message);
        throw error;
      }
    });
    yield* sleep(0);
    future.setResult(1);
    expect(task.cancel("too late for the result")).toBe(true);
    expect(future.cancelled()).toBe(false);
    expect(yield* raised(task)).toBeInstanceOf(CancelledError);
    expect(log).toEqual(["too late for the result"]);
  }));

test("cancel on oneself, then return: cancelled (test_cancel_at_end)", () =>
  inVirtualTime(function* () {
    let task: Task<number>;
    task = createTask(function* () {
      yield* sleep(1);
      expect(task.cancel()).toBe(true);
      return 12;
    });
    expect(yield* raised(task)).toBeInstanceOf(CancelledError);
    expect(task.cancelled()).toBe(true);
    expect(task.cancelling()).toBe(1);
    expect(task.cancel()).toBe(false);
  }));

test("cancelled before its first step, a body never runs (test_cancel_task_before_start)", () =>
  inVirtualTime(function* () {
    let ran = false;
    const task = createTask(function* () {
      ran = true;
      yield* sleep(0);
    });
    task.cancel("early");
    const error = yield* raised(task);
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.message).toBe("early");
    expect(ran).toBe(false);
    expect(task.cancelled()).toBe(true);
  }));

test("cancel twice counts two (test_cancel_twice, test_cancelling)", () =>
  inVirtualTime(function* () {
    const task = createTask(function* () {
      yield* sleep(100);
    });
    yield* sleep(0);
    expect(task.cancel()).toBe(true);
    expect(task.cancelling()).toBe(1);
    expect(task.cancel()).toBe(true);
    expect(task.cancelling()).toBe(2);
    yield* raised(task);
    expect(task.cancelled()).toBe(true);
    expect(task.cancel()).toBe(false);
    expect(task.cancelling()).toBe(2);
  }));

test("a body may catch the cancellation and return (test_cancel_task_catching)", () =>
  inVirtualTime(function* () {
    const future = getRunningLoop().createFuture<void>();
    const task = createTask(function* () {
      try {
        yield* future;
      } catch {
        return 42;
      }
      return 0;
    });
    yield* sleep(0);
    task.cancel();
    expect(yield* task).toBe(42);
    expect(future.cancelled()).toBe(true);
    expect(task.cancelled()).toBe(false);
  }));

test("a body may catch the cancellation and go on waiting (test_cancel_task_ignoring)", () =>
  inVirtualTime(function* () {
    const first = getRunningLoop().createFuture<number>();
    const second = getRunningLoop().createFuture<number>();
    const task = createTask(function* () {
      try {
        yield* first;
      } catch {
        // The cancellation is ignored.
      }
      return yield* second;
    });
    yield* sleep(0);
    task.cancel();
    yield* sleep(0);
    expect([first.cancelled(), second.done()]).toEqual([true, false]);
    second.setResult(42);
    expect(yield* task).toBe(42);
  }));

test("a task that swallowed one cancel is cancelled by the next (test_cancel_of_gather's neighbour, test_both_cancel)", () =>
  inVirtualTime(function* () {
    const task = createTask(function* () {
      try {
        yield* sleep(10);
      } catch {
        yield* sleep(10);
      }
    });
    yield* sleep(0);
    task.cancel("one");
    yield* sleep(0);
    yield* sleep(0);
    expect(task.done()).toBe(false);
    task.cancel("two");
    expect((yield* raised(task)).message).toBe("two");
  }));

test("uncancel to 0 before the step clears the throw (test_uncancel_resets_must_cancel)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const future = loop.createFuture<number>();
    const task = createTask(function* () {
      return yield* future;
    });
    yield* sleep(0);
    loop.callSoon(() => {
      future.setResult(42);
      task.cancel();
      // The body has not run in between, so the throw can be withdrawn.
      task.uncancel();
    });
    expect(yield* task).toBe(42);
    expect(task.cancelling()).toBe(0);
  }));

test("uncancel to 1 of 2 leaves the throw pending (test_uncancel_basic)", () =>
  inVirtualTime(function* () {
    const future = getRunningLoop().createFuture<number>();
    const task = createTask(function* () {
      return yield* future;
    });
    yield* sleep(0);
    future.setResult(42);
    task.cancel();
    task.cancel();
    expect(task.uncancel()).toBe(1);
    expect(yield* raised(task)).toBeInstanceOf(CancelledError);
    expect(task.uncancel()).toBe(0);
    expect(task.uncancel()).toBe(0);
  }));

test.each([
  [undefined, ""],
  ["hello", "hello"],
] as const)(
  "cancel(%j) arrives through a chain of tasks (test_cancel_with_message_then_future_result)",
  (message, expected) =>
    inVirtualTime(function* () {
      const task = createTask(function* () {
        const inner = createTask(function* () {
          yield* sleep(100);
        });
        return yield* inner;
      });
      yield* sleep(0);
      yield* sleep(0);
      if (message === undefined) task.cancel();
      else task.cancel(message);
      expect((yield* raised(task)).message).toBe(expected);
    }),
);

test("a future's own cancel message reaches who awaits it", () =>
  inVirtualTime(function* () {
    const future = getRunningLoop().createFuture<number>();
    future.cancel("m");
    expect((yield* raised(future)).message).toBe("m");
    // Unlike a task, a future keeps its message and makes a new error from it each time.
    expect((yield* raised(future)).message).toBe("m");
    expect(() => future.result()).toThrow(CancelledError);
  }));

test("Condition.wait re-raises the same instance after it has the lock again (test_cancelled_error_re_aquire)", () =>
  inVirtualTime(function* () {
    const condition = new Condition();
    let caught: unknown;
    const waiter = createTask(function* () {
      yield* condition.acquire();
      try {
        yield* condition.wait();
      } catch (error) {
        caught = error;
        expect(condition.locked()).toBe(true);
        condition.release();
        throw error;
      }
    });
    yield* sleep(0);
    yield* condition.acquire();
    condition.notify(1);
    waiter.cancel("(1)");
    yield* sleep(0);
    yield* sleep(0);
    waiter.cancel("(2)");
    yield* sleep(0);
    expect(waiter.done()).toBe(false);
    condition.release();
    const error = yield* raised(waiter);
    expect(error.message).toBe("(2)");
    expect(error).toBe(caught);
  }));

test("Lock.acquire hands over the instance that was thrown", () =>
  inVirtualTime(function* () {
    const lock = new Lock();
    yield* lock.acquire();
    let caught: unknown;
    const task = createTask(function* () {
      try {
        yield* lock.acquire();
      } catch (error) {
        caught = error;
        throw error;
      }
    });
    yield* sleep(0);
    task.cancel("why");
    expect(yield* raised(task)).toBe(caught);
  }));

test("a cancel passes through an inner task that swallows it (test_cancel_inner_future, test_step_in_completed_task)", () =>
  inVirtualTime(function* () {
    const inner = createTask(function* () {
      try {
        yield* sleep(10);
      } catch {
        return "swallowed";
      }
      return "slept";
    });
    const outer = createTask(function* () {
      return yield* inner;
    });
    yield* sleep(1);
    outer.cancel();
    expect(yield* outer).toBe("swallowed");
    expect([outer.cancelling(), inner.cancelling()]).toEqual([1, 1]);
  }));

test("cancelling a task that awaits a gather cancels the children with the message", () =>
  inVirtualTime(function* () {
    const messages: string[] = [];
    const child = function* (): Generator<never, void, unknown> {
      try {
        yield* sleep(10);
      } catch (error) {
        messages.push((error as Error).message);
        throw error;
      }
    };
    const task = createTask(function* () {
      yield* gather([child(), child()]);
    });
    yield* sleep(1);
    task.cancel("all of you");
    const error = yield* raised(task);
    expect(error).toBeInstanceOf(CancelledError);
    expect(messages).toEqual(["all of you", "all of you"]);
  }));

test("a future that is done refuses another end; one that is not has no result", () =>
  inVirtualTime(function* () {
    const future: Future<number> = getRunningLoop().createFuture();
    expect(() => future.result()).toThrow(InvalidStateError);
    expect(() => future.exception()).toThrow(InvalidStateError);
    future.setResult(1);
    expect(() => future.setResult(2)).toThrow(InvalidStateError);
    expect(() => future.setException(new Error("no"))).toThrow(InvalidStateError);
    expect(future.cancel()).toBe(false);
    expect(future.result()).toBe(1);
    expect(future.exception()).toBeUndefined();
    yield* future;
  }));

test("currentTask is the task that runs, and nothing in a callback (test_current_task)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const seen: unknown[] = [];
    const one = createTask(function* () {
      seen.push(currentTask());
      yield* sleep(0);
      seen.push(currentTask());
    });
    loop.callSoon(() => seen.push(currentTask()));
    yield* one;
    expect(seen[0]).toBe(one);
    expect(seen[1] ?? null).toBeNull();
    expect(seen[2]).toBe(one);
  }));
