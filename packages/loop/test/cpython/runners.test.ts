import {
  CancelledError,
  coroutine,
  createTask,
  currentTask,
  getRunningLoop,
  newEventLoop,
  run,
  Runner,
  sleep,
} from "@taskloom/loop";
import type { EventLoop, ExceptionContext, Task } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { expect, test } from "vitest";

import { inVirtualTime, raised } from "./virtual-time.ts";

// CPython: Lib/test/test_asyncio/test_runners.py.

const options = (): { clock: ReturnType<typeof virtualClock> } => ({ clock: virtualClock() });
const code = (name: string): Error => expect.objectContaining({ code: name }) as Error;

test("run gives the value or the error, of a coroutine or a function (test_asyncio_run_return, …_raises)", async () => {
  const main = coroutine(function* (value: number) {
    yield* sleep(1);
    if (value < 0) throw new RangeError("negative");
    return value;
  });
  expect(await run(main(42), options())).toBe(42);
  expect(await run(() => main(43), options())).toBe(43);
  await expect(run(main(-1), options())).rejects.toThrow(RangeError);
  await expect(run(12 as never, options())).rejects.toThrow(/12/);
});

test("run inside a running loop is an error that says so (test_asyncio_run_from_running_loop)", () =>
  inVirtualTime(function* () {
    const inner = createTask(() => run(() => sleep(0)));
    expect(yield* raised(inner)).toEqual(code("NESTED_RUN"));
  }));

test("a cancelled main is a CancelledError (test_asyncio_run_cancel…)", async () => {
  const main = run(function* () {
    currentTask()!.cancel("by itself");
    yield* sleep(1);
  }, options());
  await expect(main).rejects.toThrow(CancelledError);
  await expect(main).rejects.toThrow("by itself");
});

test("what hangs at the end is cancelled, in order, and waited for (test_asyncio_run_cancels_hanging_tasks)", async () => {
  const log: string[] = [];
  const tasks: Task<unknown>[] = [];
  let loop: EventLoop | undefined;
  const value = await run(function* () {
    loop = getRunningLoop();
    for (const [name, cleanUp] of [
      ["a", 20],
      ["b", 10],
    ] as const) {
      tasks.push(
        createTask(function* () {
          const error = yield* raised(sleep(1000));
          log.push(`${name} cancelled`);
          yield* sleep(cleanUp);
          log.push(`${name} ended`);
          throw error;
        }),
      );
    }
    yield* sleep(1);
    return "value";
  }, options());
  expect(value).toBe("value");
  expect(log).toEqual(["a cancelled", "b cancelled", "b ended", "a ended"]);
  expect(tasks.map((task) => task.cancelled())).toEqual([true, true]);
  expect(loop!.isClosed()).toBe(true);
});

test("an error of what hung goes to the exception handler (test_asyncio_run_reports_hanging_tasks_errors)", async () => {
  const contexts: ExceptionContext[] = [];
  const failure = new Error("in the clean-up");
  let task: Task<unknown> | undefined;
  await run(function* () {
    getRunningLoop().setExceptionHandler((_loop, context) => contexts.push(context));
    task = createTask(function* () {
      yield* raised(sleep(1000));
      throw failure;
    });
    createTask(function* () {
      yield* raised(sleep(1000));
      return "swallowed";
    });
    yield* sleep(1);
  }, options());
  expect(contexts).toHaveLength(1);
  expect(contexts[0]!.exception).toBe(failure);
  expect(contexts[0]!.task === task).toBe(true);
  expect(contexts[0]!.message).toMatch(/shutdown/);
});

test("a failed main still ends what is left (test_asyncio_run_raises_with_gather…)", async () => {
  let isCleaned = false;
  await expect(
    run(function* () {
      createTask(function* () {
        try {
          yield* sleep(1000);
        } finally {
          isCleaned = true;
        }
      });
      yield* sleep(1);
      throw new Error("main");
    }, options()),
  ).rejects.toThrow("main");
  expect(isCleaned).toBe(true);
});

test("run makes its loop by the factory, with the debug mode asked for (test_asyncio_run_debug, …_loop_factory)", async () => {
  const made: EventLoop[] = [];
  const loopFactory = (): EventLoop => {
    const loop = newEventLoop(options());
    made.push(loop);
    return loop;
  };
  const isDebug = await run(async () => getRunningLoop().getDebug(), { loopFactory, debug: true });
  expect(isDebug).toBe(true);
  expect(await run(async () => getRunningLoop() === made[1], { loopFactory })).toBe(true);
  expect(made.map((loop) => loop.isClosed())).toEqual([true, true]);
  expect(await run(async () => getRunningLoop().getDebug(), { debug: false })).toBe(false);
});

test("a Runner runs several mains in one loop, and none after it is closed (RunnerTests)", async () => {
  const runner = new Runner(options());
  const loop = runner.getLoop();
  expect(await runner.run(sleep(5, "one"))).toBe("one");
  let isEnded = false;
  const left = runner.run(function* () {
    createTask(function* () {
      try {
        yield* sleep(1000);
      } finally {
        isEnded = true;
      }
    });
    yield* sleep(5);
    return getRunningLoop();
  });
  expect((await left) === loop).toBe(true);
  expect(loop.time()).toBe(10);
  // Tasks that one main has left continue in the next main, and end with the runner.
  expect(isEnded).toBe(false);
  await runner.run(sleep(1));
  expect(isEnded).toBe(false);
  await runner.close();
  expect(isEnded).toBe(true);
  expect(loop.isClosed()).toBe(true);
  await runner.close();
  expect(() => runner.getLoop()).toThrow(code("RUNNER_CLOSED"));
  await expect(runner.run(sleep(1))).rejects.toEqual(code("RUNNER_CLOSED"));
  const unused = new Runner();
  await unused.close();
  expect(() => unused.getLoop()).toThrow(code("RUNNER_CLOSED"));
});
