import { run } from "@taskloom/loop";
import type { Startable } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { describe, expect, test } from "vitest";
import * as asyncGenerators from "../../examples/async-generators-and-context-managers.ts";
import * as callLater from "../../examples/call-later.ts";
import * as callSoon from "../../examples/call-soon-with-a-stopper.ts";
import * as cancelATask from "../../examples/cancel-a-task.ts";
import * as chess from "../../examples/chess-exhibition.ts";
import * as createTask from "../../examples/create-task-and-ensure-future.ts";
import * as currentTasks from "../../examples/current-and-all-tasks.ts";
import * as eventLoop from "../../examples/event-loop-by-hand.ts";
import * as futureLife from "../../examples/future-life.ts";
import * as futureSet from "../../examples/future-set-by-another-task.ts";
import * as gatherResults from "../../examples/gather-results.ts";
import * as counters from "../../examples/gather-three-counters.ts";
import * as partial from "../../examples/partial-application.ts";
import * as nestedRun from "../../examples/run-cannot-be-nested.ts";
import * as sayAfter from "../../examples/say-after.ts";
import * as taskStates from "../../examples/task-states.ts";
import * as functionKinds from "../../examples/telling-functions-apart.ts";
import * as interleave from "../../examples/two-coroutines-interleave.ts";
import * as planB from "../../examples/wait-for-plan-b.ts";
import * as fiveJobs from "../../examples/wait-for-five-jobs.ts";
import * as runEnds from "../../examples/what-run-does-at-its-end.ts";
import { outputOf } from "./output.ts";

const inVirtualTime = (main: Startable<unknown>): Promise<string[]> =>
  outputOf(() => run(main, { clock: virtualClock() }));

describe("the seeds' programs that only wait, in virtual time", () => {
  test("two coroutines interleave", async () => {
    expect(await inVirtualTime(interleave.main)).toEqual(["Suspending a", "In b", "Resuming a"]);
  });

  test("gather of three counters takes one second, not three", async () => {
    expect(await inVirtualTime(counters.main)).toEqual([
      "One",
      "One",
      "One",
      "Two",
      "Two",
      "Two",
      "executed in 1.00 seconds",
    ]);
  });

  test("a chess exhibition of twelve hours takes one", async () => {
    expect(await inVirtualTime(chess.main)).toEqual(["one after the other: 12.00 h", "all at once: 1.02 h"]);
  });

  test("say_after in sequence, as tasks, gathered", async () => {
    expect(await inVirtualTime(sayAfter.main)).toEqual([
      "hello",
      "world",
      "inSequence: 3.00 s",
      "hello",
      "world",
      "asTasks: 2.00 s",
      "hello",
      "world",
      "gathered: 2.00 s",
    ]);
  });

  test("createTask and ensureFuture", async () => {
    expect(await inVirtualTime(createTask.main)).toEqual([
      "true true",
      "Task is complete",
      "Task is complete",
      "set by a task of the loop",
    ]);
  });

  test("a task shows what it is doing", async () => {
    const [pending, finished] = await inVirtualTime(taskStates.main);
    expect(pending).toMatch(
      /^false <Task pending name='Task-\d+' coro=<a\(\) running at .*task-states\.ts:\d+>.*>$/,
    );
    expect(finished).toMatch(/^true <Task finished name='Task-\d+' coro=<a\(\).*> result='done'>$/);
  });

  test("the life of a future", async () => {
    expect(await inVirtualTime(futureLife.main)).toEqual([
      "false <Future pending>",
      "INVALID_STATE",
      "callbacks removed: 1",
      "true Completed",
      "callback: Completed",
      "Completed",
      "INVALID_STATE",
      "awaiting it throws: RangeError: Custom exception",
      "exception(): RangeError: Custom exception",
      "cancelled: true true",
      "true not needed",
    ]);
  });

  test("a future set by another task", async () => {
    expect(await inVirtualTime(futureSet.main)).toEqual(["Hello future"]);
  });

  test("cancel with catch and finally", async () => {
    expect(await inVirtualTime(cancelATask.main)).toEqual([
      "main(): running",
      "main(): sleep",
      "cancelMe(): sleep",
      "main(): call cancel",
      "cancelMe(): cancel sleep",
      "cancelMe(): after sleep",
      "main(): cancelMe is cancelled now",
      "main(): cancelled before it began: true",
    ]);
  });

  test("waitFor and its plan B", async () => {
    expect(await inVirtualTime(planB.main)).toEqual(["timeout!", "do async job 2"]);
  });

  test("gather keeps the order of its arguments", async () => {
    expect(await inVirtualTime(gatherResults.main)).toEqual([
      "job of 100 ms is done",
      "job of 200 ms is done",
      "job of 300 ms is done",
      "result => 3",
      "result => 1",
      "result => 2",
    ]);
  });

  test("five jobs, one after the other and together", async () => {
    const lines = await inVirtualTime(fiveJobs.main);
    expect(lines.slice(0, 4)).toEqual(["job 1 begins", "job 1 ends", "job 2 begins", "job 2 ends"]);
    expect(lines[10]).toBe("one after the other: 5.00 s");
    expect(lines.slice(11, 17)).toEqual([...[1, 2, 3, 4, 5].map((i) => `job ${i} begins`), "job 1 ends"]);
    expect(lines.slice(-2)).toEqual(["5 done, 0 pending", "together: 1.00 s"]);
  });

  test("what run does at its end", async () => {
    expect(await outputOf(() => runEnds.program({ clock: virtualClock() }))).toEqual([
      "main is done",
      "first: cancelled",
      "second: cancelled",
      "first: cleaned up",
      "second: cleaned up",
      "run gave 42; loop closed: true",
    ]);
  });

  test("run twice nested is an error", async () => {
    expect(await outputOf(() => nestedRun.program(() => ({ clock: virtualClock() })))).toEqual([
      expect.stringMatching(/^NESTED_RUN: run\(\) cannot be called from a running event loop/),
      "inner is done",
      "inner is done",
    ]);
  });

  test("the loop by hand", async () => {
    expect(await outputOf(() => eventLoop.program({ clock: virtualClock() }))).toEqual([
      "NO_RUNNING_LOOP",
      "the loop that was set: true",
      "running: false",
      "Start",
      "End",
      "result",
      "running: true true",
      "RangeError: from the coroutine",
      "closed: true",
      "LOOP_CLOSED",
    ]);
  });

  test("callSoon with a stopper", async () => {
    expect(await outputOf(() => callSoon.program({ clock: virtualClock() }))).toEqual([
      "false",
      "Hello World",
      "Stopping loop",
    ]);
  });

  test("callLater: equal deadlines in the order they were set", async () => {
    expect(await outputOf(() => callLater.program({ clock: virtualClock() }))).toEqual([
      "true false",
      "10 s: Hello World!",
      "10 s: and then this, set second",
      "Stopping loop",
    ]);
  });

  test("a partial application whose function and arguments can be read back", async () => {
    expect(await outputOf(() => partial.program({ clock: virtualClock() }))).toEqual([
      "greet [ 'Hello', 'World' ]",
      "<Handle greet('Hello', 'handle')>",
      "Hello handle!",
      "Hello World!",
      "Stopping loop",
    ]);
  });

  test("the current task and all tasks", async () => {
    expect(await inVirtualTime(currentTasks.main)).toEqual([
      "I am worker-1",
      "I am worker-2",
      "in a callback: null",
      "[ 'main', 'worker-1', 'worker-2' ]",
      "[ 'main' ]",
    ]);
  });

  test("async generators and context managers", async () => {
    expect(await inVirtualTime(asyncGenerators.main)).toEqual([
      "tick 0",
      "tick 1",
      "tick 2",
      "ticker: cleaned up",
      "connection: open",
      "rows",
      "connection: closed",
      "other: releases the lock",
      "main: has the lock",
      "deadline known inside: true",
      "true",
    ]);
  });

  test("telling function kinds apart", async () => {
    expect(await inVirtualTime(functionKinds.main)).toEqual([
      "isCoroutineFunction",
      "  asyncFunction: true",
      "  generatorFunction: true",
      "  coroutine(asyncFunction): true",
      "  regularFunction: false",
      "  asyncGenerator: false",
      "isAsyncGeneratorFunction",
      "  asyncGenerator: true",
      "  generatorFunction: false",
      "isCoroutine: true true false",
      "isAwaitable: true true false",
      "isFuture: false",
    ]);
  });
});
