import {
  createTask,
  ensureFuture,
  ExternalTask,
  fromSignal,
  Future,
  gather,
  getRunningLoop,
  run,
  sleep,
  timeout,
  wait,
} from "@taskloom/loop";
import type { Awaitable } from "@taskloom/loop";
import { DrivenLoop, DurableLoop } from "@taskloom/loop/durable";
import { describe, expect, test } from "vitest";

/** Drives a loop to its end, time by time. */
async function toEnd(loop: DrivenLoop, isDone: () => boolean): Promise<number> {
  let drives = 0;
  for (let due: number | undefined = loop.time(); due !== undefined && !isDone(); due = loop.nextDeadline) {
    // oxlint-disable-next-line no-await-in-loop -- one time after the other
    await loop.drive(due);
    drives++;
  }
  return drives;
}

describe("a driven loop", () => {
  test("runs generators in one synchronous call, and its time stands in between", () => {
    const loop = new DrivenLoop(100);
    const task = loop.createTask(function* () {
      const both = yield* gather([sleep(5, "a"), sleep(3, "b")]);
      return [...both, loop.time()];
    });
    expect(loop.drive(100)).toBeUndefined();
    expect(loop.nextDeadline).toBe(103);
    expect(loop.drive(50)).toBeUndefined();
    expect(loop.time()).toBe(100);
    loop.drive(103);
    expect(task.done()).toBe(false);
    loop.drive(200);
    expect(task.result()).toEqual(["a", "b", 200]);
    expect(loop.nextDeadline).toBeUndefined();
  });

  test("delivers before the timers that are due", () => {
    const loop = new DrivenLoop(0);
    const order: string[] = [];
    const future = loop.createFuture<string>();
    loop.createTask(function* () {
      yield* sleep(10);
      order.push("timer");
    });
    loop.createTask(function* () {
      order.push(yield* future);
    });
    loop.drive(0);
    loop.drive(10, () => future.setResult("delivery"));
    expect(order).toEqual(["delivery", "timer"]);
  });

  test("lets microtasks of async functions drain between iterations", async () => {
    const loop = new DrivenLoop(0);
    const task = loop.createTask(async () => {
      await sleep(1);
      await Promise.resolve();
      const inner = createTask(async () => (await Promise.resolve(3)) + (await sleep(2, 4)));
      return await timeout(100, () => inner);
    });
    expect(await toEnd(loop, () => task.done())).toBe(3);
    expect([task.result(), loop.time()]).toEqual([7, 3]);
  });

  test("names its tasks by a count of its own", () => {
    const names = [new DrivenLoop(0), new DrivenLoop(0)].map((loop) => {
      const tasks = [loop.createTask(sleep(1)), loop.createTask(sleep(1), { name: "mine" }), loop.createTask(sleep(1))];
      return tasks.map((task) => task.getName());
    });
    expect(names).toEqual([
      ["Task-1", "mine", "Task-2"],
      ["Task-1", "mine", "Task-2"],
    ]);
  });

  test("is driven from within a step of another loop, and leaves that as it was", async () => {
    const seen = await run(function* () {
      const outer = getRunningLoop();
      const inner = new DrivenLoop(0);
      const task = inner.createTask(function* () {
        yield* sleep(0);
        return getRunningLoop() === inner;
      });
      void inner.drive(0);
      yield* sleep(0);
      return [task.result(), getRunningLoop() === outer];
    });
    expect(seen).toEqual([true, true]);
  });

  test("does not split an iteration by the wall clock", () => {
    const loop = new DrivenLoop(0);
    let ran = 0;
    for (let i = 0; i < 1000; i++) {
      loop.callSoon(() => {
        ran++;
        const end = performance.now() + 0.005;
        while (performance.now() < end);
      });
    }
    const before = loop.metrics().iterations;
    loop.drive(0);
    expect([ran, loop.metrics().iterations - before]).toEqual([1000, 1]);
  });

  test("refuses to be run, stopped, or driven twice", async () => {
    const loop = new DrivenLoop(0);
    await expect(loop.runForever()).rejects.toMatchObject({ code: "LOOP_DRIVEN" });
    await expect(loop.runUntilComplete(sleep(1))).rejects.toMatchObject({ code: "LOOP_DRIVEN" });
    expect(() => loop.stop()).toThrow(expect.objectContaining({ code: "LOOP_DRIVEN" }));
    loop.createTask(async () => {});
    const driven = loop.drive(0);
    expect(() => loop.drive(0)).toThrow(expect.objectContaining({ code: "LOOP_RUNNING" }));
    await driven;
    loop.close();
    expect(() => loop.drive(0)).toThrow(expect.objectContaining({ code: "LOOP_CLOSED" }));
  });

  test("tells of a loop that never rests", () => {
    const loop = new DrivenLoop(0);
    loop.createTask(function* () {
      for (;;) yield* sleep(0);
    });
    expect(() => loop.drive(0)).toThrow(expect.objectContaining({ code: "LOOP_ENDLESS" }));
  });
});

describe("a durable loop", () => {
  const foreign = (): Future<number> => new Future<number>({ loop: new DrivenLoop(0) });
  const outside: readonly (readonly [name: string, work: (loop: DurableLoop) => Awaitable<unknown>])[] = [
    ["an ExternalTask", () => new ExternalTask()],
    ["a native promise", () => ensureFuture(Promise.resolve(1))],
    ["a future of another loop", () => foreign()],
    ["a signal", () => fromSignal(new AbortController().signal)],
    ["a server", (loop) => loop.createServer(() => null as never)],
    ["a connection", (loop) => loop.createConnection(() => null as never, { host: "127.0.0.1", port: 1 })],
    ["an executor", (loop) => loop.runInExecutor(null, () => 1)],
  ];

  test.each(outside)("refuses %s in a generator, with the line and the remedy", (_name, work) => {
    const loop = new DurableLoop(0);
    const task = loop.createTask(function* () {
      yield* work(loop) as Future<unknown>;
    });
    loop.drive(0);
    const error = task.exception() as Error & { code: string };
    expect(error.code).toBe("DURABLE_OUTSIDE");
    expect(error.message).toMatch(/ at durable\.test\.ts:\d+.*write `yield\* step\(task, …\)`/);
  });

  test.each(outside)("refuses %s in an async function", async (_name, work) => {
    const loop = new DurableLoop(0);
    const task = loop.createTask(async () => {
      await work(loop);
    });
    await loop.drive(0);
    expect(task.exception()).toMatchObject({ code: "DURABLE_OUTSIDE" });
  });

  test("finds an async function that waits for a native promise, when it rests", async () => {
    const loop = new DurableLoop(0);
    let resolve: () => void = () => {};
    loop.createTask(
      async () => {
        await sleep(5);
        await new Promise<void>((settle) => {
          resolve = settle;
        });
      },
      { name: "fetches" },
    );
    await loop.drive(0);
    expect(loop.outsideError()).toBeNull();
    await loop.drive(5);
    expect(loop.outsideError()).toMatchObject({ code: "DURABLE_OUTSIDE" });
    expect(loop.outsideError()!.message).toContain("fetches");
    resolve();
  });

  test("takes promises that settle within the microtasks", async () => {
    const loop = new DurableLoop(0);
    const task = loop.createTask(async () => {
      const values = await Promise.all([Promise.resolve(1), sleep(0, 2), (async () => 3)()]);
      await new Promise<void>((resolve) => process.nextTick(resolve));
      return values;
    });
    await loop.drive(0);
    expect(loop.outsideError()).toBeNull();
    expect(task.result()).toEqual([1, 2, 3]);
  });

  test("finds a wake-up between two drives", async () => {
    const loop = new DurableLoop(0);
    const other = new DrivenLoop(0);
    const settled = other.createFuture<number>();
    loop.createTask(function* () {
      yield* wait([settled, createTask(sleep(1000))], { returnWhen: "FIRST_COMPLETED" });
    });
    loop.drive(0);
    settled.setResult(1);
    other.drive(0);
    expect(loop.outsideError()).toMatchObject({ code: "DURABLE_OUTSIDE" });
  });
});
