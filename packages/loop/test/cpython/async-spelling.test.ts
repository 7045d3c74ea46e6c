import {
  CancelledError,
  createTask,
  currentTask,
  sleep,
  taskGroup,
  timeout,
  TimeoutError,
} from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { expect, test } from "vitest";

import { inVirtualTime } from "./virtual-time.ts";

// CPython: cases of Lib/test/test_asyncio/test_taskgroups.py and test_timeouts.py, in `async` functions. An
// error at the end of a body takes precedence over a pending cancellation.

async function failsInCleanUp(): Promise<void> {
  try {
    await sleep(10_000);
  } finally {
    // oxlint-disable-next-line no-unsafe-finally -- the case is about exactly this
    throw new Error("clean-up");
  }
}

async function failsAfter(ms: number): Promise<void> {
  await sleep(ms);
  throw new Error(`after ${ms}`);
}

/** Returns the messages of a group's error, nested as the groups are. */
function messages(error: unknown): unknown {
  return error instanceof AggregateError ? error.errors.map(messages) : (error as Error).message;
}

/** Cancels the task after 100 ms, and returns the error with which it ends. */
async function cancelled([task]: [Task<void>]): Promise<unknown> {
  await sleep(100);
  expect(task.done()).toBe(false);
  task.cancel();
  const error: unknown = await task.then(
    () => "no error",
    (thrown: unknown) => thrown,
  );
  expect(task.cancelled()).toBe(false);
  return error;
}

test("children fail in their clean-up when the group's task is cancelled (test_taskgroup_08)", () =>
  inVirtualTime(async () => {
    const runner = createTask(async () => {
      await taskGroup(async (group) => {
        for (let i = 0; i < 5; i++) group.createTask(failsInCleanUp);
        await sleep(10_000);
      });
    });
    expect(messages(await cancelled([runner]))).toEqual(Array(5).fill("clean-up"));
  }));

test("the same in a group within a group (test_taskgroup_11)", () =>
  inVirtualTime(async () => {
    const runner = createTask(async () => {
      await taskGroup(async () => {
        await taskGroup(async (inner) => {
          for (let i = 0; i < 5; i++) inner.createTask(failsInCleanUp);
          await sleep(10_000);
        });
      });
    });
    expect(messages(await cancelled([runner]))).toEqual([Array(5).fill("clean-up")]);
  }));

test("the same when the outer group has a task of its own (test_taskgroup_12)", () =>
  inVirtualTime(async () => {
    const runner = createTask(async () => {
      await taskGroup(async (outer) => {
        outer.createTask(sleep(10_000));
        await taskGroup(async (inner) => {
          for (let i = 0; i < 5; i++) inner.createTask(failsInCleanUp);
          await sleep(10_000);
        });
      });
    });
    expect(messages(await cancelled([runner]))).toEqual([Array(5).fill("clean-up")]);
  }));

test("the outer group's child fails while the inner group waits (test_taskgroup_13)", () =>
  inVirtualTime(async () => {
    const runner = createTask(async () => {
      await taskGroup(async (outer) => {
        outer.createTask(() => failsAfter(100));
        await taskGroup(async (inner) => {
          inner.createTask(() => failsAfter(10_000));
        });
      });
    });
    const error: unknown = await runner.catch((thrown: unknown) => thrown);
    expect(messages(error)).toEqual(["after 100"]);
  }));

test("a child fails while the cancelled parent cleans up (test_taskgroup_16)", () =>
  inVirtualTime(async () => {
    const runner = createTask(async () => {
      await createTask(async () => {
        await taskGroup(async (group) => {
          group.createTask(() => failsAfter(300));
          try {
            await sleep(10_000);
          } catch (error) {
            await sleep(500);
            throw error;
          }
        });
      });
    });
    expect(messages(await cancelled([runner]))).toEqual(["after 300"]);
  }));

test("a group's body throws another error instead of the cancellation (test_taskgroup_18)", () =>
  inVirtualTime(async () => {
    const runner = createTask(async () => {
      await taskGroup(async () => {
        try {
          await sleep(10_000);
        } catch {
          throw new Error("instead");
        }
      });
    });
    expect(messages(await cancelled([runner]))).toEqual(["instead"]);
  }));

test("a child fails in its clean-up when a timeout ends the group (test_timeout_taskgroup)", () =>
  inVirtualTime(async () => {
    let thrown: unknown;
    const error: unknown = await timeout(10, async () => {
      await taskGroup(async (group) => {
        group.createTask(failsInCleanUp);
        try {
          throw new Error("of the body");
        } finally {
          thrown = await sleep(1000).catch((reason: unknown) => reason);
          // oxlint-disable-next-line no-unsafe-finally -- as Python's `finally` with an await that throws
          throw thrown;
        }
      });
    }).catch((reason: unknown) => reason);
    expect(error).not.toBeInstanceOf(TimeoutError);
    expect(messages(error)).toEqual(["clean-up"]);
    expect(thrown).toBeInstanceOf(CancelledError);
    expect(currentTask()!.cancelling()).toBe(0);
    await sleep(1);
  }));
