import { inspect } from "node:util";

import {
  allTasks,
  ArgumentError,
  CancelledError,
  coroutine,
  Coroutine,
  createTask,
  currentTask,
  ensureFuture,
  EventLoop,
  Future,
  gather,
  getEventLoop,
  getRunningLoop,
  isAsyncGeneratorFunction,
  isAwaitable,
  isCoroutine,
  isCoroutineFunction,
  isFuture,
  Queue,
  reportProgress,
  run,
  sleep,
  Task,
  UsageError,
} from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { expect, test } from "vitest";

import { inVirtualTime, raised } from "./virtual-time.ts";

// CPython: Lib/test/test_asyncio/test_tasks.py, test_futures.py, test_pep492.py, test_runners.py.

const double = coroutine(function* double(value: number) {
  yield* sleep(0);
  return value * 2;
});
const quick = coroutine(function* quick(value: number) {
  return value;
});
const failing = coroutine(function* failing() {
  throw new Error("failed");
});

test("a coroutine runs once, delegated to, as a task, or gathered (test_wrong_await…, cannot reuse)", () =>
  inVirtualTime(function* () {
    const reused = expect.objectContaining({ code: "COROUTINE_REUSED" });
    for (const make of [() => double(2), () => quick(4)]) {
      const once = make();
      expect(yield* once).toBe(4);
      const task = createTask(once);
      expect(yield* raised(task)).toEqual(reused);
      expect(() => once[Symbol.iterator]()).toThrow(reused as Error);
      const tasked = make();
      expect(yield* createTask(tasked)).toBe(4);
      expect(() => tasked[Symbol.iterator]()).toThrow(reused as Error);
    }
    const thrown = failing();
    expect((yield* raised(thrown)).message).toBe("failed");
    expect(() => thrown[Symbol.iterator]()).toThrow(reused as Error);
    const running = double(1);
    const first = createTask(running);
    yield* sleep(0);
    expect(yield* raised(createTask(running))).toEqual(reused);
    expect(yield* first).toBe(2);
    const closed = double(3);
    closed.close();
    expect(() => closed[Symbol.iterator]()).toThrow(reused as Error);
    // Closing a running or ended coroutine changes nothing.
    const busy = double(5);
    const task = createTask(busy);
    yield* sleep(0);
    busy.close();
    expect(yield* task).toBe(10);
  }));

test("a deep stack of coroutines returns, throws and is cancelled like one (test_task_basics, test_step…)", () =>
  inVirtualTime(function* () {
    const descend = coroutine(function* (
      depth: number,
      act: () => Iterable<never, unknown>,
    ): Generator<never, number> {
      if (depth === 0) {
        yield* act();
        return 0;
      }
      try {
        return 1 + (yield* descend(depth - 1, act));
      } finally {
        left += 1;
      }
    });
    let left = 0;
    expect(yield* descend(200, () => sleep(5))).toBe(200);
    expect(left).toBe(200);
    left = 0;
    expect((yield* raised(descend(200, () => failing()))).message).toBe("failed");
    expect(left).toBe(200);
    left = 0;
    const task = createTask(descend(200, () => sleep(1000)));
    yield* sleep(1);
    task.cancel("deep");
    expect((yield* raised(task)).message).toBe("deep");
    expect(left).toBe(200);
  }));

test("names: given, counted, changed (test_task_repr_name…, test_task_set_name_…)", () =>
  inVirtualTime(function* () {
    const task = createTask(double(1), { name: "mine" });
    expect(task.getName()).toBe("mine");
    task.setName("yours");
    expect(task.getName()).toBe("yours");
    const [a, b] = [createTask(double(1)), createTask(double(1))];
    expect(a.getName()).toMatch(/^Task-\d+$/);
    expect(Number(b.getName().slice(5))).toBe(Number(a.getName().slice(5)) + 1);
    const coro = double(2);
    const named = createTask(coro);
    expect(named.getCoro() === coro).toBe(true);
    expect(coro.name).toBe("double");
    yield* gather([task, a, b, named]);
  }));

test("allTasks has the unfinished ones of the loop, in order; currentTask the one that runs (test_all_tasks…)", () =>
  inVirtualTime(function* () {
    const me = currentTask()!;
    const tasks = [10, 20, 30, 40].map((ms) => createTask(sleep(ms)));
    const numbers = (): number[] =>
      [...allTasks()].map((task) => [me, ...tasks].indexOf(task as Task<undefined>));
    expect(numbers()).toEqual([0, 1, 2, 3, 4]);
    tasks[1]!.cancel();
    yield* sleep(15);
    expect(numbers()).toEqual([0, 3, 4]);
    expect(getRunningLoop().metrics().tasks).toBe(3);
    const late = createTask(sleep(1));
    expect([...allTasks(getRunningLoop())].at(-1) === late).toBe(true);
    yield* sleep(50);
    expect(numbers()).toEqual([0]);
    expect(getRunningLoop().metrics().tasks).toBe(1);
    expect(currentTask(getRunningLoop()) === me).toBe(true);
    const other = new EventLoop({ clock: virtualClock() });
    expect(currentTask(other)).toBeNull();
    expect(allTasks(other).size).toBe(0);
  }));

test("outside a loop there is no current task and no set of tasks (test_current_task_no_running_loop)", () => {
  expect(() => currentTask()).toThrow(expect.objectContaining({ code: "NO_RUNNING_LOOP" }) as Error);
  expect(() => allTasks()).toThrow(expect.objectContaining({ code: "NO_RUNNING_LOOP" }) as Error);
  expect(currentTask(new EventLoop())).toBeNull();
});

test("ensureFuture: futures as they are, the rest as tasks, of the same loop (test_ensure_future_…)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const future = loop.createFuture<number>();
    expect(ensureFuture(future) === future).toBe(true);
    expect(ensureFuture(future, { loop }) === future).toBe(true);
    const other = new EventLoop({ clock: virtualClock() });
    expect(() => ensureFuture(future, { loop: other })).toThrow(UsageError);
    expect(() => ensureFuture("x" as never)).toThrow(ArgumentError);
    const task = ensureFuture(double(3));
    expect(task).toBeInstanceOf(Task);
    expect(yield* task).toBe(6);
    expect(yield* ensureFuture(() => double(4))).toBe(8);
    expect(yield* ensureFuture(Promise.resolve("native"))).toBe("native");
    expect(yield* raised(ensureFuture(other.createFuture()))).toEqual(
      expect.objectContaining({ code: "WRONG_LOOP" }),
    );
  }));

test("what is what (test_isfuture, test_iscoroutinefunction…)", () =>
  inVirtualTime(function* () {
    const coro = double(1);
    const task = createTask(coro);
    const generator = (function* () {})();
    expect([coro, task, generator, double, 1].map(isCoroutine)).toEqual([true, false, true, false, false]);
    expect([coro, task, new Future(), 1, null].map(isFuture)).toEqual([false, true, true, false, false]);
    expect([double, async () => {}, function* () {}, () => {}, 1].map(isCoroutineFunction)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    expect(coro).toBeInstanceOf(Coroutine);
    const kinds = [async function* () {}, function* () {}, async () => {}, double, 1, undefined];
    expect(kinds.map(isAsyncGeneratorFunction)).toEqual([true, false, false, false, false, false]);
    const awaitables = [coro, task, generator, sleep(0), sleep(1), Promise.resolve(), 1, null, {}, () => {}];
    expect(awaitables.map(isAwaitable)).toEqual([
      true,
      true,
      true,
      true,
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
    yield* task;
  }));

test("a bare yield waits one iteration; yielding an awaitable is an error that says yield* (test_yield_vs_yield_from…)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const bare = createTask(function* (): Generator<unknown, number> {
      const before = loop._iterations;
      yield;
      return loop._iterations - before;
    });
    expect(yield* bare).toBe(1);
    const wrong = createTask(function* (): Generator<unknown, void> {
      yield sleep(1);
    });
    expect((yield* raised(wrong)).message).toMatch(/yield\*/);
    const cancelled = createTask(function* (): Generator<unknown, void> {
      yield;
    });
    loop.callSoon(() => cancelled.cancel("at a bare yield"));
    expect((yield* raised(cancelled)).message).toBe("at a bare yield");
  }));

test("a task tells its listeners how far it is, until they are taken away", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const errors: unknown[] = [];
    loop.setExceptionHandler((_loop, context) => errors.push(context.exception));
    const seen: unknown[] = [];
    const task = createTask(function* () {
      for (const done of [1, 2, 3]) {
        reportProgress(done);
        yield* sleep(1);
      }
    });
    const remove = task.onProgress((value) => seen.push(["first", value]));
    task.onProgress(() => {
      throw new Error("in a listener");
    });
    task.onProgress((value) => seen.push(["last", value]));
    yield* sleep(0.5);
    remove();
    yield* task;
    expect(seen).toEqual([
      ["first", 1],
      ["last", 1],
      ["last", 2],
      ["last", 3],
    ]);
    expect(errors).toHaveLength(3);
    // A callback has no task whose progress could be reported.
    loop.callSoon(() => reportProgress(4));
    yield* sleep(1);
    expect(seen).toHaveLength(4);
  }));

test("an awaitable is no list: to iterate it otherwise than by yield* is an error", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const wrong = expect.objectContaining({ code: "NOT_IN_TASK" }) as Error;
    const makers = [
      () => sleep(0),
      () => sleep(0, "x"),
      () => sleep(5),
      () => loop.createFuture(),
      () => new Queue<number>().get(),
      () => double(1),
    ];
    const outside: unknown[] = [];
    loop.callSoon(() => {
      for (const make of makers) {
        try {
          outside.push([...(make() as Iterable<unknown>)]);
        } catch (error) {
          outside.push(error);
        }
      }
    });
    yield* sleep(0);
    expect(outside).toEqual(makers.map(() => wrong));
  }));

test("a coroutine whose function gives nothing to await throws where it is awaited", () =>
  inVirtualTime(function* () {
    const wrong = coroutine((() => 12) as never);
    const caller = coroutine(function* () {
      const error = yield* raised(wrong());
      yield* sleep(1);
      return error;
    });
    expect(yield* caller()).toBeInstanceOf(ArgumentError);
  }));

test("a task of a promise that never settles can be cancelled all the same", () =>
  inVirtualTime(function* () {
    const task = createTask(new Promise(() => {}));
    yield* sleep(0);
    task.cancel("given up");
    expect((yield* raised(task)).message).toBe("given up");
  }));

test("a future and a task as a reader sees them (test_future_repr, test_task_repr…)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const future = loop.createFuture<number>();
    expect(inspect(future)).toMatch(/^<Future pending/);
    const task = createTask(
      coroutine(function* reader() {
        return yield* future;
      })(),
      { name: "mine" },
    );
    yield* sleep(0);
    expect(inspect(task)).toMatch(
      /^<Task pending name='mine' coro=<reader\(\).*> waitFor=<Future pending.*>>$/,
    );
    task.cancel();
    expect(inspect(task)).toMatch(/^<Task cancelling /);
    yield* raised(task);
    expect(inspect(task)).toMatch(/^<Task cancelled name='mine' coro=<reader\(\)/);
    future.cancel();
    expect(inspect(future)).toMatch(/^<Future cancelled/);
    const done = createTask(sleep(1, "x"));
    yield* done;
    expect(inspect(done)).toMatch(/^<Task finished .*result='x'/);
    expect(inspect(double(1))).toBe("<coroutine double() not started>");
  }));

test("then, catch and finally are a promise's, of a future, a task and a coroutine", async () => {
  const log: string[] = [];
  await run(async () => {
    for (const make of [() => createTask(double(2)), () => double(2), () => ensureFuture(double(2))]) {
      expect(await make().then((value) => value + 1)).toBe(5);
      expect(await make().finally(() => void log.push("finally"))).toBe(4);
    }
    for (const make of [() => createTask(failing()), () => failing()]) {
      expect(await make().catch((error: unknown) => (error as Error).message)).toBe("failed");
      await expect(make().finally(() => void log.push("finally"))).rejects.toThrow("failed");
    }
  });
  expect(log).toHaveLength(5);
});

test("outside any run, code after a native await knows the loop that serves it", async () => {
  const loop = await createTask(async () => {
    await Promise.resolve();
    return getRunningLoop();
  });
  expect(loop).toBe(getEventLoop());
});

test("a task cannot be settled by hand; a future of another loop cannot be awaited (test_task_set_result…, wrong loop)", () =>
  inVirtualTime(function* () {
    const task = createTask(double(1));
    expect(() => task.setResult(1)).toThrow(UsageError);
    expect(() => task.setException(new Error("no"))).toThrow(UsageError);
    expect(yield* task).toBe(2);
    const foreign = new EventLoop({ clock: virtualClock() }).createFuture();
    const wrong = createTask(function* () {
      yield* foreign;
    });
    expect(yield* raised(wrong)).toEqual(expect.objectContaining({ code: "WRONG_LOOP" }));
    expect(yield* raised(createTask((() => 12) as never))).toBeInstanceOf(ArgumentError);
  }));

test("states of a task and a future (test_task_basics, test_result, test_exception)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const task = createTask(double(1));
    expect([task.done(), task.cancelled(), task.getLoop() === loop]).toEqual([false, false, true]);
    yield* task;
    expect([task.done(), task.cancelled(), task.result(), task.exception()]).toEqual([
      true,
      false,
      2,
      undefined,
    ]);
    const failed = createTask(failing());
    const error = yield* raised(failed);
    expect(failed.exception()).toBe(error);
    expect(() => failed.result()).toThrow(error);
    expect(failed.cancel()).toBe(false);
    const cancelled = loop.createFuture();
    cancelled.cancel("m");
    expect(() => cancelled.exception()).toThrow(CancelledError);
    expect(() => cancelled.result()).toThrow("m");
  }));

test("at its end run() cancels what is left and waits for it (test_runners: test_asyncio_run_cancels_hanging_tasks)", async () => {
  const log: string[] = [];
  const value = await run(
    function* () {
      createTask(function* () {
        try {
          yield* sleep(1000);
        } finally {
          yield* sleep(5);
          log.push("cleaned up");
        }
      });
      yield* sleep(1);
      return "value";
    },
    { clock: virtualClock() },
  );
  expect(value).toBe("value");
  expect(log).toEqual(["cleaned up"]);
  await expect(
    run(
      function* () {
        throw new Error("main");
      },
      { clock: virtualClock() },
    ),
  ).rejects.toThrow("main");
});
