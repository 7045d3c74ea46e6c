import { Future, createTask } from "@taskloom/loop";
import { TaskOptionsError, TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
import { defineLaneTask, idInRun, laneRunner } from "@taskloom/queue/lane";
import { Redis } from "ioredis";
import { describe, expect, test } from "vitest";
import { redisTest } from "../../../test/support/redis.ts";
import { LaneSlots } from "../src/worker/lane-slots.ts";
import { FakeLane } from "./fake-lane.ts";

redisTest("a run that loses its lock is abandoned with its steps, and stores nothing", async ({ redis }) => {
  const lane = new FakeLane();
  const stopped = Promise.withResolvers<string>();
  const begun = Promise.withResolvers<void>();
  const forever = defineTask({ name: "lane.forever" }, async () => {
    begun.resolve();
    return await new Future<never>();
  });
  const run = lane.define("lane.loses", async ({ step }) => {
    const waiting = step(forever, []);
    waiting.addDoneCallback(() => stopped.resolve(String(waiting.cancelled())));
    return await waiting;
  });
  const admin = new Redis(redis.url);
  const queue = new TaskQueue({ engine: redis.url, name: "loses" });
  const worker = new TaskWorker({ engine: redis.url, queues: ["loses"], tasks: [run, forever], threads: 1 });
  const running = worker.run();
  const lost = queue.submit(run);
  lost.catch(() => {}); // It never ends here: nobody else runs it.
  await begun.promise;
  const key = `taskloom:loses.workflow:${lost.id}`;
  // Another worker has taken the run over: the lock is that worker's.
  await admin.set(`${key}:lock`, "other");
  expect(await stopped.promise).toBe("true");
  expect(lane.events).toContain(`abandon ${lost.id}`);
  running.cancel();
  await running.catch(() => {});
  expect(await admin.hmget(key, "finishedOn", "ats", "atm")).toEqual([null, "1", null]);
  expect(await lost.state()).toBe("active");
  await queue.close();
  admin.disconnect();
});

redisTest("a lane without durable runs costs a worker nothing at the engine", async ({ redis }) => {
  const admin = new Redis(redis.url);
  const double = defineTask({ name: "lane.double" }, async (n: number) => n * 2);
  const queue = new TaskQueue({ engine: redis.url, name: "plain" });
  const worker = new TaskWorker({ engine: redis.url, queues: ["plain"], tasks: [double], threads: 1 });
  const running = worker.run();
  expect(await queue.submit(double, 1)).toBe(2);
  expect(worker.stats()).toMatchObject({ running: { workflow: 0 }, finished: { workflow: 0 }, runs: 0 });
  running.cancel();
  await running.catch(() => {});
  await queue.close();
  expect(await admin.keys("*plain.workflow*")).toEqual([]);
  admin.disconnect();
});

test("setConcurrency changes the number of runs, and the places of jobs and steps", async () => {
  const lane = new FakeLane();
  const run = lane.define("lane.counted", async () => "ran");
  const worker = new TaskWorker({ engine: "memory:", tasks: [run], runs: 5 });
  const running = worker.run();
  await worker.ready();
  const [context] = lane.contexts;
  expect([context!.concurrency, worker.stats().runs]).toEqual([5, 5]);
  worker.setConcurrency("workflow", 9);
  expect([context!.concurrency, worker.stats().runs]).toEqual([9, 9]);
  worker.setConcurrency("loop", 2);
  running.cancel();
  await running.catch(() => {});
  await worker.engine.close();
});

describe("the definition of a task that brings its lane", () => {
  const { open } = new FakeLane();

  test.each([0, 1.5, -1, Number.NaN])("a worker refuses %d runs", (runs) => {
    const task = defineTask({ name: "lane.plain" }, () => 1);
    expect(() => new TaskWorker({ engine: "memory:", tasks: [task], runs })).toThrow(TaskOptionsError);
  });

  test("it is a task like others, and has a lane that defineTask refuses", async () => {
    const run = defineLaneTask(
      "defineRun",
      { name: "lane.defined", version: 3 },
      open,
      function* (n: number) {
        return n + 1;
      },
    );
    expect(run.task).toMatchObject({ name: "lane.defined", version: 3, runsOn: "workflow", attempts: 1 });
    expect(run[laneRunner]).toBe(open);
    expect(await run(1)).toBe(2);
    expect(() => defineTask({ name: "x", runsOn: "workflow" as never }, () => 1)).toThrow(
      'to be "loop" or "thread", got "workflow"',
    );
    expect(() => defineLaneTask("defineRun", { name: "x", runOn: 1 } as never, open, () => 1)).toThrow(
      "There is no option `runOn` of defineRun",
    );
  });

  test("a worker refuses a run without its runner, and two runners of one lane", () => {
    const brought = defineLaneTask("defineRun", { name: "lane.one" }, open, () => 1);
    const other = defineLaneTask("defineRun", { name: "lane.two" }, new FakeLane().open, () => 1);
    const bare = Object.assign(() => 1, { task: { ...brought.task, name: "lane.bare" } });
    const worker = (...tasks: object[]): TaskWorker => new TaskWorker({ engine: "memory:", tasks });
    expect(() => worker(bare)).toThrow("Expected task lane.bare to bring the runner of its lane");
    expect(() => worker(brought, other)).toThrow("to bring one runner, got another one with lane.two");
  });

  test("a map refuses it, since the calls of a map share jobs", async () => {
    const run = defineLaneTask("defineRun", { name: "lane.mapped" }, open, (n: number) => n);
    await using queue = new TaskQueue({ engine: "memory:" });
    expect(() => queue.map(run, [[1]])).toThrow("got lane.mapped, which is a durable run");
  });

  test("a place in a run has one id, of a length and of letters that an id may have", () => {
    expect(idInRun({ run: "workflow.a", n: 1 })).toBe("workflow.a/1");
    expect(idInRun({ run: "workflow.repeat:a:1", n: 1 })).toBe("workflow.repeat~a~1/1");
    const long = `workflow.${"x".repeat(200)}`;
    expect(idInRun({ run: long, n: 12 })).toMatch(/^[0-9a-f]{64}\/12$/);
    expect(idInRun({ run: long, n: 12 })).toBe(idInRun({ run: long, n: 12 }));
  });
});

describe("the places of a lane", () => {
  /** A body that ends when it is let go. */
  function gate(): { readonly body: () => Promise<void>; readonly letGo: () => void; isIn: boolean } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const gated = {
      isIn: false,
      body: async (): Promise<void> => {
        gated.isIn = true;
        await promise;
      },
      letGo: () => resolve(),
    };
    return gated;
  }
  /** A place that is passed on reaches its body after some turns of the event loop. */
  const turn = async (): Promise<void> => {
    for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setImmediate(resolve));
  };

  test("the lane claims jobs for the places that steps leave over, and at least one", async () => {
    const slots = new LaneSlots(3);
    const rooms: number[] = [];
    slots.onRoom((room) => rooms.push(room));
    const gates = Array.from({ length: 4 }, gate);
    const steps = gates.map(({ body }) => slots.runStep(body));
    await turn();
    expect([rooms, slots.room, slots.steps]).toEqual([[2, 1], 1, 4]);
    expect(gates.map(({ isIn }) => isIn)).toEqual([true, true, true, false]);
    for (const { letGo } of gates) letGo();
    await Promise.all(steps);
    expect([rooms, slots.steps]).toEqual([[2, 1, 2, 3], 0]);
  });

  test("fewer places take effect as bodies end, more places at once", async () => {
    const slots = new LaneSlots(2);
    const gates = Array.from({ length: 5 }, gate);
    const bodies = gates.map(({ body }) => slots.runJob(body));
    slots.resize(1);
    gates[0]!.letGo();
    await turn();
    expect(gates.map(({ isIn }) => isIn)).toEqual([true, true, false, false, false]);
    gates[1]!.letGo();
    await turn();
    expect(gates.map(({ isIn }) => isIn)).toEqual([true, true, true, false, false]);
    slots.resize(3);
    await turn();
    expect(gates.every(({ isIn }) => isIn)).toBe(true);
    for (const { letGo } of gates) letGo();
    await Promise.all(bodies);
  });

  test("a cancelled body leaves the line, also when its turn has just come", async () => {
    const slots = new LaneSlots(1);
    const [first, second, third] = [gate(), gate(), gate()];
    const running = createTask(() => slots.runStep(first.body));
    const waiting = createTask(() => slots.runStep(second.body));
    const last = createTask(() => slots.runStep(third.body));
    await turn();
    waiting.cancel("before its turn");
    await expect(waiting).rejects.toThrow("before its turn");
    const late = createTask(() => slots.runStep(() => new Future<void>()));
    await turn();
    first.letGo();
    third.letGo();
    await running;
    await last;
    late.cancel("in its turn");
    await Promise.allSettled([late]);
    expect([slots.steps, slots.room]).toEqual([0, 1]);
    expect(await slots.runJob(async () => "free")).toBe("free");
  });

  test("a body that fails frees its place", async () => {
    const slots = new LaneSlots(1);
    const failing = slots.runStep(async () => {
      throw new Error("no");
    });
    const next = slots.runStep(async () => "next");
    await expect(failing).rejects.toThrow("no");
    expect(await next).toBe("next");
  });
});
