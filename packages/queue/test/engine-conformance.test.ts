import { randomUUID } from "node:crypto";
import { CancelledError, Event, TimeoutError, gather, getEventLoop, sleep, timeout } from "@taskloom/loop";
import { UnrecoverableError, currentJob, defineTask } from "@taskloom/queue";
import type { TaskDefinition } from "@taskloom/queue";
import { describe, expect } from "vitest";
import * as fixtures from "./fixtures/tasks.ts";
import { engines } from "./engines.ts";
import { pairTest } from "./pair.ts";

const echo = defineTask({ name: "test.echo" }, async (value: unknown) => value);
const add = defineTask({ name: "test.add" }, function* (a: number, b: number) {
  yield* sleep(0);
  return a + b;
});

describe.each(engines)("on $name", ({ test: engineTest }) => {
  /** A queue and a running worker of its own for each test. */
  const test = pairTest(engineTest);

  test("a submitted task gives its result, whichever way it is written and wherever it runs", async ({
    pair,
  }) => {
    const queue = await pair.work([echo, add, fixtures]);
    const results = await gather([
      queue.submit(echo, "async"),
      queue.submit(add, 2, 3),
      queue.submit(fixtures.threadName),
    ]);
    expect(results).toEqual(["async", 5, { isMain: false }]);
  });

  test("sent() ends when the job is stored, and fails when it cannot be", async ({ pair }) => {
    const queue = pair.queue;
    const job = queue.submit(echo, 1);
    await job.sent();
    expect((await queue.states([job.id])).get(job.id)).toBe("pending");
    job.cancel();
    await expect(job).rejects.toThrow(CancelledError);
    const checked = defineTask(
      {
        name: "test.checked",
        args: {
          "~standard": {
            version: 1,
            vendor: "test",
            validate: async () => ({ issues: [{ message: "no" }] }),
          },
        },
      },
      async (_value: unknown) => {},
    );
    await expect(queue.submit(checked, 1).sent()).rejects.toThrow(/no/);
  });

  test("values that JSON has no way to say arrive as they were", async ({ pair }) => {
    const queue = await pair.work([echo]);
    const value = {
      date: new Date(0),
      map: new Map<unknown, unknown>([[1n, new Set(["a"])]]),
      missing: undefined,
      nothing: null,
      bytes: new Uint8Array([1, 2]),
      buffer: Buffer.from("hello"),
      numbers: [Number.NaN, -0, Number.POSITIVE_INFINITY],
    };
    expect(await queue.submit(echo, value)).toEqual(value);
    expect(await queue.submit(echo, undefined)).toBeUndefined();
  });

  test("an error arrives with its name, message, code, cause and own properties", async ({ pair }) => {
    const queue = await pair.work([fixtures]);
    const error = (await queue.submit(fixtures.throwRange).catch((thrown: unknown) => thrown)) as Error;
    expect(error).toMatchObject({ name: "RangeError", message: "out of range", code: "E_RANGE", at: 7 });
    expect(error.cause).toMatchObject({ message: "why" });
    expect(error.stack).toContain("tasks.ts");
  });

  test("many submissions keep their order under gather", async ({ pair }) => {
    const queue = await pair.work([add]);
    const sums = await gather(Array.from({ length: 200 }, (_, index) => queue.submit(add, index, 1)));
    expect(sums).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
  });

  test("a job that waits is cancelled without ever running", async ({ pair }) => {
    let ran = false;
    const never = defineTask({ name: "test.never" }, async () => void (ran = true));
    const { queue } = pair;
    const task = queue.submit(never);
    await expect.poll(() => queue.counts().then(({ waiting }) => waiting), { timeout: 15_000 }).toBe(1);
    task.cancel("changed my mind");
    await expect(task).rejects.toThrow(new CancelledError("changed my mind"));
    expect(task.cancelled()).toBe(true);
    expect(await task.state()).toBe("cancelled");
    await pair.work([never, echo]);
    await queue.submit(echo, 1);
    expect(ran).toBe(false);
  });

  test("a job that runs on the loop gets a CancelledError at its await", async ({ pair }) => {
    const started = new Event();
    const seen: unknown[] = [];
    const wait = defineTask({ name: "test.wait" }, async () => {
      started.set();
      try {
        await sleep(60_000);
      } catch (error) {
        seen.push(error);
        throw error;
      }
    });
    const queue = await pair.work([wait]);
    const task = queue.submit(wait);
    await started.wait();
    task.cancel("enough");
    await expect(task).rejects.toThrow(CancelledError);
    expect(seen).toEqual([expect.any(CancelledError)]);
    expect(await task.state()).toBe("cancelled");
  });

  test("a job that blocks a thread is stopped there", async ({ pair }) => {
    const queue = await pair.work([fixtures]);
    const task = queue.submit(fixtures.block, 60_000);
    await expect.poll(() => task.state(), { timeout: 10_000 }).toBe("active");
    task.cancel();
    await expect(task).rejects.toThrow(CancelledError);
    expect(await queue.submit(fixtures.block, 1)).toBe("blocked");
  });

  test("the scope that waits is the job's deadline, and cancels it", async ({ pair }) => {
    const started = new Event();
    const stopped = new Event();
    const deadlines: (number | undefined)[] = [];
    const wait = defineTask({ name: "test.deadline" }, async () => {
      deadlines.push(currentJob()?.deadline);
      started.set();
      try {
        await sleep(60_000);
      } finally {
        stopped.set();
      }
    });
    const queue = await pair.work([wait]);
    const before = Date.now();
    const waiting = timeout(600_000, async (scope) => {
      const task = queue.submit(wait);
      await started.wait();
      scope.reschedule(getEventLoop().time());
      await task;
    });
    await expect(waiting).rejects.toThrow(TimeoutError);
    await stopped.wait();
    expect(deadlines).toHaveLength(1);
    expect(deadlines[0]).toBeGreaterThan(before + 590_000);
    expect(deadlines[0]).toBeLessThan(before + 660_000);
  });

  test("a job whose deadline has passed is not started", async ({ pair }) => {
    let ran = false;
    const late = defineTask({ name: "test.late" }, async () => void (ran = true));
    const task = pair.queue.with({ deadline: 1 }).submit(late);
    await expect(task).rejects.toThrow(TimeoutError);
    const queue = await pair.work([late, echo]);
    await queue.submit(echo, 1);
    expect(ran).toBe(false);
  });

  test("a task that fails is tried again, as often as it may be", async ({ pair }) => {
    const attempts: number[] = [];
    const flaky = defineTask({ name: "test.flaky", attempts: 3 }, async () => {
      attempts.push(currentJob()?.attempt ?? 0);
      if (attempts.length < 3) throw new Error("not yet");
      return "at last";
    });
    const hopeless = defineTask({ name: "test.hopeless", attempts: 3 }, async () => {
      throw new UnrecoverableError("never");
    });
    const queue = await pair.work([flaky, hopeless]);
    expect(await queue.submit(flaky)).toBe("at last");
    expect(attempts).toEqual([1, 2, 3]);
    await expect(queue.submit(hopeless)).rejects.toMatchObject({
      name: "UnrecoverableError",
      message: "never",
    });
  });

  test("an id makes submission idempotent, while the job is pending and afterwards", async ({ pair }) => {
    let runs = 0;
    const once = defineTask({ name: "test.once" }, async () => ++runs);
    const queue = await pair.work([once]);
    const id = randomUUID();
    const both = await gather([queue.with({ id }).submit(once), queue.with({ id }).submit(once)]);
    expect(both).toEqual([1, 1]);
    expect(await queue.with({ id }).submit(once)).toBe(1);
    expect(await queue.attach(once, id)).toBe(1);
    expect(runs).toBe(1);
  });

  test("progress and log lines reach who waits", async ({ pair }) => {
    const queue = await pair.work([fixtures]);
    const task = queue.submit(fixtures.countTo, 3);
    const seen: unknown[] = [];
    task.onProgress((value) => seen.push(value));
    expect(await task).toBe(3);
    expect(seen.at(-1)).toBe(3);
    expect(await task.logs()).toEqual(["counted to 3"]);
  });

  const counting: [string, TaskDefinition<[to: number], number | Promise<number>>][] = [
    ["the loop", fixtures.countTo],
    ["a thread", fixtures.countOnThread],
  ];
  test.for(counting)(
    "the last progress of a job on %s comes before its end",
    async ([_lane, count], { pair }) => {
      const { queue } = pair;
      const task = queue.submit(count, 1_000);
      const listening = (async () => {
        const seen: unknown[] = [];
        for await (const value of task.progress()) seen.push(value);
        return seen.at(-1);
      })();
      await pair.work([fixtures]);
      expect(await task).toBe(1_000);
      expect(await listening).toBe(1_000);
      // What is stored; messages that are still under way, since a look at the engine was quicker, can come before it.
      const later = queue.attach(task.id);
      const seen: unknown[] = [];
      later.onProgress((value) => seen.push(value));
      expect(await later).toBe(1_000);
      expect(seen.at(-1)).toBe(1_000);
    },
  );

  test("a job that reports nothing has no progress", async ({ pair }) => {
    const queue = await pair.work([echo]);
    const task = queue.submit(echo, 1);
    const seen: unknown[] = [];
    task.onProgress((value) => seen.push(value));
    await task;
    const later = queue.attach(task.id);
    later.onProgress((value) => seen.push(value));
    await later;
    expect(seen).toEqual([]);
  });

  test("a job that no worker knows waits, is reported, and runs when one comes", async ({ pair }) => {
    const unknown: unknown[] = [];
    const reported = new Event();
    await pair.work([echo], {
      onUnknown: (job) => {
        unknown.push(job.name);
        reported.set();
      },
    });
    const task = pair.queue.submit(add, 1, 2);
    await reported.wait();
    expect(unknown[0]).toBe("test.add");
    expect(task.done()).toBe(false);
    await pair.work([add]);
    expect(await task).toBe(3);
  });

  test("a worker that stops gives back what runs, and no attempt is spent", async ({ pair }) => {
    const started = new Event();
    let release = false;
    const attempts: number[] = [];
    const slow = defineTask({ name: "test.slow" }, async () => {
      attempts.push(currentJob()?.attempt ?? 0);
      started.set();
      if (!release) await sleep(60_000);
      return "done";
    });
    const queue = await pair.work([slow], { drain: 0 });
    const task = queue.submit(slow);
    await started.wait();
    release = true;
    await pair.stopWorkers();
    await pair.work([slow]);
    expect(await task).toBe("done");
    expect(attempts).toEqual([1, 1]);
  });

  test("a queue that is closed says so to who waits and to who submits", async ({ pair }) => {
    const { queue } = pair;
    const task = queue.submit(echo, 1);
    await queue.close();
    await expect(task).rejects.toMatchObject({ code: "QUEUE_CLOSED" });
    expect(() => queue.submit(echo, 1)).toThrow(expect.objectContaining({ code: "QUEUE_CLOSED" }));
  });
});
