import { CancelledError, coroutine, createTask, currentTask, Event, sleep, taskGroup } from "@taskloom/loop";
import type { TaskGroup } from "@taskloom/loop";
import { expect, test } from "vitest";

import { inVirtualTime, raised } from "./virtual-time.ts";

// CPython: Lib/test/test_asyncio/test_taskgroups.py.

const failing = coroutine(function* (ms: number, message: string) {
  yield* sleep(ms);
  throw new Error(message);
});

function messages(error: Error): unknown[] {
  expect(error).toBeInstanceOf(AggregateError);
  return (error as AggregateError).errors.map((each: Error) =>
    each instanceof AggregateError ? messages(each) : each.message,
  );
}

test("siblings' cancellations are absent from the group's error (test_cancel_children_on_child_error)", () =>
  inVirtualTime(function* () {
    let sibling: unknown;
    const error = yield* raised(
      taskGroup(function* (group) {
        group.createTask(function* () {
          sibling = yield* raised(sleep(1000));
          throw sibling;
        });
        group.createTask(failing(1, "first"));
        group.createTask(failing(1, "second"));
        yield* sleep(1000);
      }),
    );
    expect(sibling).toBeInstanceOf(CancelledError);
    expect(messages(error)).toEqual(["first", "second"]);
    expect(currentTask()!.cancelling()).toBe(0);
  }));

test("afterwards the parent's count is what it was (test_cancelling_level_preserved)", () =>
  inVirtualTime(function* () {
    yield* raised(
      taskGroup(function* (group) {
        group.createTask(failing(0, "x"));
      }),
    );
    expect(currentTask()!.cancelling()).toBe(0);
    yield* sleep(1);
  }));

test("an external cancel and a child's error: the error wins, the count stays 1 (test_error_and_cancel)", () =>
  inVirtualTime(function* () {
    const started = new Event();
    const counts: number[] = [];
    const task = createTask(function* () {
      const error = yield* raised(
        taskGroup(function* (group) {
          group.createTask(function* () {
            started.set();
            yield* sleep(0);
            throw new Error("child");
          });
          yield* sleep(1000);
        }),
      );
      expect(messages(error)).toEqual(["child"]);
      counts.push(currentTask()!.cancelling());
      yield* sleep(1000);
    });
    yield* started.wait();
    expect(task.cancelling()).toBe(0);
    task.cancel();
    expect(yield* raised(task)).toBeInstanceOf(CancelledError);
    expect(counts).toEqual([1]);
  }));

test("nested groups that both fail (test_nested_groups_both_cancelled)", () =>
  inVirtualTime(function* () {
    const outer = yield* raised(
      taskGroup(function* (group) {
        const inner = yield* raised(
          taskGroup(function* (nested) {
            nested.createTask(failing(0, "inner"));
            group.createTask(failing(0, "outer"));
          }),
        );
        expect(messages(inner)).toEqual(["inner"]);
        expect(currentTask()!.cancelling()).toBe(1);
      }),
    );
    expect(messages(outer)).toEqual(["outer"]);
    expect(currentTask()!.cancelling()).toBe(0);
  }));

test("an inner group's error is one error of the outer (test_taskgroup_14)", () =>
  inVirtualTime(function* () {
    const error = yield* raised(
      taskGroup(function* (outer) {
        outer.createTask(failing(100, "never"));
        yield* taskGroup(function* (inner) {
          inner.createTask(failing(1, "inner"));
        });
      }),
    );
    expect(messages(error)).toEqual([["inner"]]);
  }));

test("a cancelled parent cancels the children and waits for them (test_cancellation)", () =>
  inVirtualTime(function* () {
    const log: string[] = [];
    const parent = createTask(function* () {
      yield* taskGroup(function* (group) {
        for (const name of ["a", "b"]) {
          group.createTask(function* () {
            const error = yield* raised(sleep(1000));
            yield* sleep(5);
            log.push(name);
            throw error;
          });
        }
      });
    });
    yield* sleep(1);
    parent.cancel("stop");
    yield* sleep(0);
    yield* sleep(0);
    expect(parent.done()).toBe(false);
    const error = yield* raised(parent);
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.message).toBe("stop");
    expect(log).toEqual(["a", "b"]);
  }));

test("a child that fails while its cancelled parent cleans up (test_taskgroup_15)", () =>
  inVirtualTime(function* () {
    const parent = createTask(function* () {
      yield* taskGroup(function* (group) {
        group.createTask(failing(30, "late"));
        const error = yield* raised(sleep(1000));
        yield* sleep(50);
        throw error;
      });
    });
    yield* sleep(10);
    parent.cancel();
    expect(messages(yield* raised(parent))).toEqual(["late"]);
  }));

test("the body's own error ends the children and comes last", () =>
  inVirtualTime(function* () {
    const error = yield* raised(
      taskGroup(function* (group) {
        group.createTask(function* () {
          yield* raised(sleep(1000));
          throw new Error("clean-up");
        });
        yield* sleep(1);
        throw new Error("body");
      }),
    );
    expect(messages(error)).toEqual(["clean-up", "body"]);
  }));

test("a finished or failing group takes no more tasks (test_taskgroup_finished, …no_create_task_after_failure)", () =>
  inVirtualTime(function* () {
    let kept: TaskGroup | undefined;
    yield* taskGroup(function* (group) {
      kept = group;
    });
    expect(() => kept!.createTask(sleep(0))).toThrow(/finished/);
    yield* raised(
      taskGroup(function* (group) {
        group.createTask(failing(0, "x"));
        yield* raised(sleep(1000));
        expect(() => group.createTask(sleep(0))).toThrow(/shutting down/);
      }),
    );
  }));

test("children may add tasks while the group waits for them", () =>
  inVirtualTime(function* () {
    const log: string[] = [];
    const value = yield* taskGroup(function* (group) {
      group.createTask(function* () {
        yield* sleep(1);
        group.createTask(function* () {
          yield* sleep(1);
          log.push("grandchild");
        });
      });
      return "of the body";
    });
    expect(value).toBe("of the body");
    expect(log).toEqual(["grandchild"]);
  }));

test("a child that is cancelled alone does not disturb the group (test_taskgroup_20's calm case)", () =>
  inVirtualTime(function* () {
    yield* taskGroup(function* (group) {
      const child = group.createTask(function* () {
        yield* sleep(1000);
      });
      yield* sleep(1);
      child.cancel();
    });
    expect(currentTask()!.cancelling()).toBe(0);
  }));
