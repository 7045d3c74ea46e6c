import { AsyncLocalStorage } from "node:async_hooks";

import {
  allTasks,
  ArgumentError,
  createTask,
  EventLoop,
  getEventLoop,
  getRunningLoop,
  newEventLoop,
  run,
  setEventLoop,
  sleep,
  UsageError,
} from "@taskloom/loop";
import type { ExceptionContext, Executor, Startable, Task } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { expect, test, vi } from "vitest";

import { inVirtualTime, raised } from "./virtual-time.ts";

// CPython: Lib/test/test_asyncio/test_base_events.py, test_events.py.

const virtual = (): EventLoop => new EventLoop({ clock: virtualClock() });
const code = (name: string): Error => expect.objectContaining({ code: name }) as Error;

function fail(): void {
  throw new Error("in a callback");
}

function add(a: number, b: number): number {
  return a + b;
}

test("runForever runs until stop(), and ends after the iteration under way (test_run_forever…, test_run_once…)", async () => {
  const loop = virtual();
  const log: string[] = [];
  loop.callSoon(() => {
    log.push("stops");
    loop.stop();
    loop.callSoon(() => log.push("next time"));
  });
  loop.callSoon(() => log.push("same iteration"));
  const running = loop.runForever();
  expect(loop.isRunning()).toBe(true);
  await running;
  expect(loop.isRunning()).toBe(false);
  expect(log).toEqual(["stops", "same iteration"]);
  loop.callSoon(() => loop.stop());
  await loop.runForever();
  expect(log).toEqual(["stops", "same iteration", "next time"]);
});

test("runForever waits with nothing to do, and stop() ends it from outside", async () => {
  const loop = virtual();
  const future = loop.createFuture<string>();
  const task = loop.createTask(() => future);
  const running = loop.runForever();
  // These are several turns. No callback can wake the task, and still the loop reports no deadlock.
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  expect([loop.isRunning(), task.done()]).toEqual([true, false]);
  future.setResult("from outside");
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  expect(task.result()).toBe("from outside");
  loop.stop();
  await running;
  expect(loop.isRunning()).toBe(false);
});

test("a callback's running loop is its own, whichever others are being run", async () => {
  const automatic = getEventLoop();
  const other = virtual();
  const running = other.runForever();
  expect(getRunningLoop()).toBe(other);
  const seen = await new Promise((resolve) => automatic.callSoon(() => resolve(getRunningLoop())));
  expect(seen).toBe(automatic);
  other.stop();
  await running;
  // The process's default loop always exists, so stop() has no run to end.
  automatic.stop();
  expect(await automatic.createTask(sleep(1, "served"))).toBe("served");
});

test("stop() before runForever gives one iteration (test_run_once_in_executor…'s neighbour, stop before run)", async () => {
  const loop = virtual();
  const log: string[] = [];
  loop.callSoon(() => {
    log.push("first");
    loop.callSoon(() => log.push("second"));
  });
  loop.stop();
  await loop.runForever();
  expect(log).toEqual(["first"]);
});

test("runUntilComplete gives the outcome, of a coroutine, a task or a future (test_run_until_complete…)", async () => {
  const loop = virtual();
  expect(await loop.runUntilComplete(() => sleep(5, "slept"))).toBe("slept");
  expect(await loop.runUntilComplete(loop.createTask(sleep(5, "task")))).toBe("task");
  const failed = loop.createFuture();
  failed.setException(new Error("failed"));
  await expect(loop.runUntilComplete(failed)).rejects.toThrow("failed");
  expect(loop.time()).toBe(10);
});

test("a loop that is stopped early says so (test_run_until_complete_stopped)", async () => {
  const loop = virtual();
  const slow = loop.createTask(sleep(100));
  loop.callLater(5, () => loop.stop());
  await expect(loop.runUntilComplete(slow)).rejects.toEqual(code("LOOP_STOPPED"));
  // The task continues with the loop, and its end does not stop that run.
  loop.callLater(500, () => loop.stop());
  await loop.runForever();
  expect(slow.done()).toBe(true);
  expect(loop.time()).toBe(505);
});

test("a running loop can be neither run again nor closed (test_run_until_complete_loop_orphan…, test_close)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    expect(() => loop.runForever()).toThrow(code("LOOP_RUNNING"));
    expect(() => loop.close()).toThrow(code("LOOP_RUNNING"));
    const other = virtual();
    expect(() => other.runForever()).toThrow(code("LOOP_RUNNING"));
    // The attempt leaves no task behind.
    const before = allTasks(loop).size;
    const attempt = loop.runUntilComplete(() => sleep(0));
    expect(allTasks(loop).size).toBe(before);
    expect(yield* raised(createTask(attempt))).toEqual(code("LOOP_RUNNING"));
  }));

test("a closed loop takes nothing more (test_close)", async () => {
  const loop = virtual();
  const log: string[] = [];
  loop.callSoon(() => log.push("never"));
  loop.callLater(1, () => log.push("never"));
  expect(loop.isClosed()).toBe(false);
  loop.close();
  loop.close();
  expect(loop.isClosed()).toBe(true);
  const closed = code("LOOP_CLOSED");
  expect(() => loop.callSoon(() => {})).toThrow(closed);
  expect(() => loop.callLater(1, () => {})).toThrow(closed);
  expect(() => loop.callAt(1, () => {})).toThrow(closed);
  expect(() => loop.createTask(sleep(0))).toThrow(closed);
  expect(() => loop.runForever()).toThrow(closed);
  expect(() => loop.runInExecutor(null, () => 1)).toThrow(closed);
  await expect(loop.runUntilComplete(() => sleep(0))).rejects.toEqual(code("LOOP_CLOSED"));
  expect([loop.metrics().ready, loop.metrics().timers]).toEqual([0, 0]);
  let kept: EventLoop;
  {
    using scoped = virtual();
    kept = scoped;
    await scoped.runUntilComplete(() => sleep(1));
  }
  expect(kept.isClosed()).toBe(true);
  expect(log).toEqual([]);
});

test("what is no function, no time and no awaitable is refused at once (test_call_soon_non_callable…)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const nothing = undefined as never;
    expect(() => loop.callSoon(nothing)).toThrow(ArgumentError);
    expect(() => loop.callLater(1, nothing)).toThrow(ArgumentError);
    expect(() => loop.callLater(Number.NaN, () => {})).toThrow(ArgumentError);
    expect(() => loop.callAt("soon" as never, () => {})).toThrow(ArgumentError);
    expect(() => loop.createTask(12 as never)).toThrow(ArgumentError);
    expect(() => loop.setExceptionHandler(12 as never)).toThrow(ArgumentError);
    expect(() => loop.createFuture().addDoneCallback(nothing)).toThrow(ArgumentError);
    yield* sleep(0);
  }));

test("callbacks get the arguments they were scheduled with (test_call_soon, test_call_soon_threadsafe)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const log: unknown[][] = [];
    const note = (...args: unknown[]): void => void log.push(args);
    loop.callSoon(note);
    loop.callSoon(note, 1);
    loop.callSoon(note, 1, 2);
    loop.callSoonThreadsafe(note, 1, 2, 3);
    const timer = loop.callLater(5, note, "later");
    const at = loop.callAt(7, note, "at");
    expect([timer.when(), at.when()]).toEqual([5, 7]);
    yield* sleep(10);
    expect(log).toEqual([[], [1], [1, 2], [1, 2, 3], ["later"], ["at"]]);
  }));

test("a callback sees the stores of where it was scheduled (test_call_soon's context)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const note = (...args: string[]): void => void seen.push([storage.getStore(), ...args]);
    const future = loop.createFuture<void>();
    storage.run("here", () => {
      loop.callSoon(note, "soon");
      loop.callLater(1, note, "later", "two");
      future.addDoneCallback(() => note("done"));
    });
    loop.callSoon(note);
    future.setResult();
    yield* sleep(5);
    expect(seen).toEqual([["here", "soon"], [undefined], ["here", "done"], ["here", "later", "two"]]);
    seen.length = 0;
    const task = storage.run("task", () =>
      createTask(function* () {
        note("first step");
        yield* sleep(1);
        note("second step");
      }),
    );
    yield* task;
    note("outside");
    expect(seen).toEqual([
      ["task", "first step"],
      ["task", "second step"],
      [undefined, "outside"],
    ]);
  }));

test("a task factory makes the tasks (test_set_task_factory, test_create_task…)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    expect(loop.getTaskFactory()).toBeNull();
    const names: (string | undefined)[] = [];
    const factory = (
      on: EventLoop,
      work: Startable<unknown>,
      options: { name?: string | undefined },
    ): Task<unknown> => {
      names.push(options.name);
      on.setTaskFactory(null);
      const task = on.createTask(work, { name: `made ${options.name}` });
      on.setTaskFactory(factory);
      return task;
    };
    loop.setTaskFactory(factory);
    expect(loop.getTaskFactory()).toBe(factory);
    const task = createTask(sleep(1, "x"), { name: "one" });
    expect(task.getName()).toBe("made one");
    expect(yield* task).toBe("x");
    loop.setTaskFactory(null);
    createTask(sleep(0));
    expect(names).toEqual(["one"]);
  }));

test("errors that nobody gets go to the exception handler, else to the default one (test_set_exc_handler…)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const error = vi.spyOn(console, "error").mockImplementation(() => {});
    try {
      const contexts: ExceptionContext[] = [];
      loop.callSoon(fail);
      yield* sleep(0);
      expect(error).toHaveBeenCalledTimes(1);
      const handler = (on: EventLoop, context: ExceptionContext): void => {
        expect(on).toBe(loop);
        contexts.push(context);
      };
      loop.setExceptionHandler(handler);
      expect(loop.getExceptionHandler()).toBe(handler);
      loop.callSoon(fail);
      yield* sleep(0);
      expect(contexts.map((each) => (each.exception as Error).message)).toEqual(["in a callback"]);
      expect(error).toHaveBeenCalledTimes(1);
      // If the handler itself fails, both errors are logged.
      loop.setExceptionHandler(() => {
        throw new Error("in the handler");
      });
      loop.callSoon(fail);
      yield* sleep(0);
      expect(error).toHaveBeenCalledTimes(3);
      loop.setExceptionHandler(null);
      expect(loop.getExceptionHandler()).toBeNull();
      loop.callExceptionHandler({ message: "by hand" });
      expect(error).toHaveBeenCalledTimes(4);
    } finally {
      error.mockRestore();
    }
  }));

test("runInExecutor uses the executor given, else the loop's own (test_run_in_executor…, test_set_default_executor)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const ended: string[] = [];
    const executor = (name: string): Executor => ({
      submit: (fn, ...args) => createTask(async () => [name, await fn(...args)]) as never,
      shutdown: async () => void ended.push(name),
    });
    expect(loop.getDefaultExecutor()).toBeNull();
    expect(() => loop.runInExecutor(null, () => 1)).toThrow(code("NO_EXECUTOR"));
    const own = executor("own");
    loop.setDefaultExecutor(own);
    expect(loop.getDefaultExecutor()).toBe(own);
    expect(yield* loop.runInExecutor(null, add, 1, 2)).toEqual(["own", 3]);
    expect(yield* loop.runInExecutor(executor("given"), add, 3, 4)).toEqual(["given", 7]);
    return ended;
  }).then((ended) => {
    // At its end, run() has closed the loop's own executor, and no other.
    expect(ended).toEqual(["own"]);
  }));

test("run() calls the shutdown hooks in order, unless they were taken back", async () => {
  const log: string[] = [];
  await run(async () => {
    const loop = getRunningLoop();
    loop.addShutdownHook(async () => void log.push("one"));
    const remove = loop.addShutdownHook(() => void log.push("never"));
    loop.addShutdownHook(() => void log.push("two"));
    remove();
  });
  expect(log).toEqual(["one", "two"]);
});

test("setEventLoop chooses the loop outside any running one (test_get_event_loop…)", async () => {
  const loop = newEventLoop({ clock: virtualClock() });
  expect(loop).toBeInstanceOf(EventLoop);
  const automatic = getEventLoop();
  expect(getEventLoop()).toBe(automatic);
  setEventLoop(loop);
  try {
    expect(getEventLoop()).toBe(loop);
    expect(() => getRunningLoop()).toThrow(UsageError);
    await inVirtualTime(function* () {
      expect(getEventLoop()).toBe(getRunningLoop());
      expect(getEventLoop()).not.toBe(loop);
      yield* sleep(0);
    });
    const task = createTask(sleep(3, "served"));
    expect(await loop.runUntilComplete(task)).toBe("served");
    expect(loop.time()).toBe(3);
    loop.close();
    expect(getEventLoop()).toBe(automatic);
  } finally {
    setEventLoop(null);
  }
  expect(getEventLoop()).toBe(automatic);
});

test("a thousand ready callbacks run in order, and so do those that they make ready", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const log: number[] = [];
    // Two rounds: the queue grows while its head is in the middle.
    for (const start of [0, 10_000]) {
      for (let i = 0; i < 50; i++) loop.callSoon(() => log.push(start - 1));
      yield* sleep(0);
      log.length = 0;
      for (let i = 0; i < 1000; i++) {
        loop.callSoon(() => {
          log.push(start + i);
          loop.callSoon(() => log.push(start + 1000 + i));
        });
      }
      expect(loop.metrics().ready).toBe(1000);
      yield* sleep(0);
      yield* sleep(0);
      expect(log).toEqual(Array.from({ length: 2000 }, (_, i) => start + i));
      expect(loop.metrics().ready).toBe(0);
    }
  }));
