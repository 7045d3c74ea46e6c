import {
  CancelledError,
  coroutine,
  createTask,
  currentDeadline,
  currentTask,
  gather,
  getRunningLoop,
  sleep,
  taskGroup,
  timeout,
  timeoutAt,
  TimeoutError,
} from "@taskloom/loop";
import type { TimeoutScope } from "@taskloom/loop";
import { expect, test } from "vitest";

import { inVirtualTime, raised } from "./virtual-time.ts";

// CPython: Lib/test/test_asyncio/test_timeouts.py.

test("of two scopes with one deadline only the outer turns it into a timeout (test_nested_timeouts)", () =>
  inVirtualTime(function* () {
    const deadline = getRunningLoop().time() + 10;
    const scopes: TimeoutScope[] = [];
    let inner: Error | undefined;
    const error = yield* raised(
      timeoutAt(deadline, function* (outer) {
        scopes.push(outer);
        inner = yield* raised(
          timeoutAt(deadline, function* (scope) {
            scopes.push(scope);
            yield* sleep(1000);
          }),
        );
        throw inner;
      }),
    );
    expect(error).toBeInstanceOf(TimeoutError);
    expect(inner).toBeInstanceOf(CancelledError);
    expect(scopes.map((scope) => scope.expired())).toEqual([true, true]);
    expect(currentTask()!.cancelling()).toBe(0);
  }));

test("a busy loop reaches both deadlines of nested scopes (test_nested_timeouts_loop_busy)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const error = yield* raised(
      timeout(100, function* () {
        const inner = yield* raised(
          timeout(10, function* () {
            yield* sleep(1000);
          }),
        );
        expect(inner).toBeInstanceOf(TimeoutError);
        expect(loop.time()).toBe(10);
        yield* sleep(1000);
      }),
    );
    expect(error).toBeInstanceOf(TimeoutError);
    expect(loop.time()).toBe(100);
  }));

test("a foreign cancel inside an unexpired scope stays a cancel (test_foreign_cancel_doesnt_timeout_if_not_expired)", () =>
  inVirtualTime(function* () {
    let scope: TimeoutScope | undefined;
    const task = createTask(function* () {
      yield* timeout(1000, function* (entered) {
        scope = entered;
        currentTask()!.cancel("me");
        yield* sleep(1000);
      });
    });
    const error = yield* raised(task);
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.message).toBe("me");
    expect(scope!.expired()).toBe(false);
  }));

test("after a swallowed cancel a scope still times out (test_timeout_after_cancellation)", () =>
  inVirtualTime(function* () {
    const task = createTask(function* () {
      currentTask()!.cancel();
      expect(yield* raised(sleep(1))).toBeInstanceOf(CancelledError);
      const error = yield* raised(
        timeout(0, function* () {
          yield* sleep(1);
        }),
      );
      expect(error).toBeInstanceOf(TimeoutError);
      return currentTask()!.cancelling();
    });
    expect(yield* task).toBe(1);
  }));

test("after a swallowed cancel another one inside a scope is a cancel (test_cancel_in_timeout_after_cancellation)", () =>
  inVirtualTime(function* () {
    const task = createTask(function* () {
      currentTask()!.cancel();
      yield* raised(sleep(1));
      return yield* raised(
        timeout(1, function* () {
          currentTask()!.cancel();
          yield* sleep(2);
        }),
      );
    });
    expect(yield* task).toBeInstanceOf(CancelledError);
  }));

test("a cancel and the deadline in one iteration: cancelled, and the count keeps the foreign one", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    let scope: TimeoutScope | undefined;
    const task = createTask(function* () {
      try {
        yield* timeout(10, function* (entered) {
          scope = entered;
          yield* sleep(1000);
        });
      } catch (error) {
        return [error instanceof CancelledError, currentTask()!.cancelling()];
      }
      return [];
    });
    yield* sleep(0);
    loop.callAt(10, () => task.cancel());
    expect(yield* task).toEqual([true, 1]);
    expect(scope!.expired()).toBe(true);
  }));

test("an error of the clean-up passes through an expired scope (test_foreign_exception_on_timeout)", () =>
  inVirtualTime(function* () {
    const failure = new Error("clean-up failed");
    let scope: TimeoutScope | undefined;
    const error = yield* raised(
      timeout(10, function* (entered) {
        scope = entered;
        try {
          yield* sleep(1000);
        } finally {
          // oxlint-disable-next-line no-unsafe-finally -- an error that replaces the cancellation is the point
          throw failure;
        }
      }),
    );
    expect(error).toBe(failure);
    expect(scope!.expired()).toBe(true);
    expect(currentTask()!.cancelling()).toBe(0);
  }));

test("an error of the body passes through, and the scope has not expired (test_foreign_exception_passed)", () =>
  inVirtualTime(function* () {
    const failure = new Error("of the body");
    let scope: TimeoutScope | undefined;
    const error = yield* raised(
      timeout(10, function* (entered) {
        scope = entered;
        throw failure;
      }),
    );
    expect(error).toBe(failure);
    expect(scope!.expired()).toBe(false);
    yield* sleep(20);
    expect(scope!.expired()).toBe(false);
    expect(currentTask()!.cancelling()).toBe(0);
  }));

test.each([0, -5])(
  "a scope of %i ms ends a sleep(0) too (test_timeout_zero_sleep_zero, …_in_the_past_…)",
  (ms) =>
    inVirtualTime(function* () {
      let scope: TimeoutScope | undefined;
      const error = yield* raised(
        timeout(ms, function* (entered) {
          scope = entered;
          yield* sleep(0);
          yield* sleep(0);
        }),
      );
      expect(error).toBeInstanceOf(TimeoutError);
      expect(scope!.expired()).toBe(true);
    }),
);

test("a scope without a deadline never expires (test_timeout_disabled)", () =>
  inVirtualTime(function* () {
    yield* timeout(null, function* (scope) {
      expect(scope.when()).toBeNull();
      yield* sleep(1000);
      expect(scope.expired()).toBe(false);
    });
  }));

test("reschedule moves, takes away and sets a deadline (test_reschedule)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const body = coroutine(function* (change: (scope: TimeoutScope) => void) {
      return yield* timeout(50, function* (scope) {
        yield* sleep(10);
        change(scope);
        yield* sleep(1000);
        return loop.time();
      });
    });
    const sooner = createTask(body((scope) => scope.reschedule(loop.time() + 5)));
    expect(yield* raised(sooner)).toBeInstanceOf(TimeoutError);
    expect(loop.time()).toBe(15);
    const later = createTask(body((scope) => scope.reschedule(loop.time() + 100)));
    expect(yield* raised(later)).toBeInstanceOf(TimeoutError);
    expect(loop.time()).toBe(15 + 10 + 100);
    const never = createTask(body((scope) => scope.reschedule(null)));
    expect(yield* never).toBe(125 + 10 + 1000);
    const now = createTask(body((scope) => scope.reschedule(loop.time())));
    expect(yield* raised(now)).toBeInstanceOf(TimeoutError);
    expect(loop.time()).toBe(1135 + 10);
  }));

test("a scope that has ended cannot be rescheduled (test_timeout_finished, test_timeout_expired, test_timeout_expiring)", () =>
  inVirtualTime(function* () {
    let scope: TimeoutScope | undefined;
    yield* timeout(10, function* (entered) {
      scope = entered;
    });
    expect(() => scope!.reschedule(100)).toThrow(/finished/);
    yield* raised(
      timeout(10, function* (entered) {
        scope = entered;
        try {
          yield* sleep(100);
        } finally {
          expect(() => entered.reschedule(100)).toThrow(/expiring/);
        }
      }),
    );
    expect(() => scope!.reschedule(100)).toThrow(/expired/);
  }));

test("a deadline over a group cancels its children, and is a timeout (test_timeout_taskgroup)", () =>
  inVirtualTime(function* () {
    const cleaned: number[] = [];
    const error = yield* raised(
      timeout(10, function* () {
        yield* taskGroup(function* (group) {
          for (const ms of [100, 200]) {
            group.createTask(function* () {
              try {
                yield* sleep(ms);
              } finally {
                cleaned.push(ms);
              }
            });
          }
          yield* sleep(0);
        });
      }),
    );
    expect(error).toBeInstanceOf(TimeoutError);
    expect(cleaned).toEqual([100, 200]);
  }));

test("the cancelled error is the cause of the timeout", () =>
  inVirtualTime(function* () {
    const error = yield* raised(
      timeout(10, function* () {
        yield* sleep(100);
      }),
    );
    expect(error.cause).toBeInstanceOf(CancelledError);
  }));

test("currentDeadline is the nearest of the enclosing ones, in gathered coroutines and a group's tasks too", () =>
  inVirtualTime(function* () {
    const now = coroutine(function* () {
      return currentDeadline();
    });
    expect(currentDeadline()).toBeUndefined();
    yield* timeout(100, function* () {
      expect(currentDeadline()).toBe(100);
      yield* timeout(50, function* (inner) {
        expect(currentDeadline()).toBe(50);
        yield* timeout(70, function* () {
          expect(currentDeadline()).toBe(50);
          expect(yield* gather([now(), createTask(now())])).toEqual([50, undefined]);
          yield* taskGroup(function* (group) {
            expect(yield* group.createTask(now())).toBe(50);
          });
        });
        inner.reschedule(null);
        expect(currentDeadline()).toBe(100);
      });
      expect(currentDeadline()).toBe(100);
    });
    expect(currentDeadline()).toBeUndefined();
  }));
