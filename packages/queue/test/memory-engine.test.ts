import { randomUUID } from "node:crypto";
import {
  CancelledError,
  DeadlockError,
  Event,
  getRunningLoop,
  run,
  sleep,
  timeout,
  TimeoutError,
} from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { TaskQueue, TaskWorker, defineTask, openEngine } from "@taskloom/queue";
import { expect, test } from "vitest";
import { clockChanges } from "./clock-changes.ts";

const hour = 3_600_000;
const later = defineTask({ name: "memory.later" }, async (milliseconds: number) => {
  await sleep(milliseconds);
  return getRunningLoop().time();
});

/** Runs `body` in virtual time with a queue and a worker in memory. */
async function virtually<T>(body: (queue: TaskQueue) => Promise<T>): Promise<T> {
  return await run(
    async () => {
      const engine = `memory:${randomUUID()}`;
      const worker = new TaskWorker({ engine, tasks: [later, flaky] }).run();
      await using queue = new TaskQueue({ engine });
      const result = await body(queue);
      worker.cancel();
      await worker.catch(() => {});
      return result;
    },
    { clock: virtualClock() },
  );
}

let failures: number[] = [];
const flaky = defineTask(
  { name: "memory.flaky", attempts: 4, backoff: { type: "exponential", delay: hour } },
  async () => {
    failures.push(getRunningLoop().time());
    if (failures.length < 4) throw new Error("not yet");
    return failures.length;
  },
);

test("an hour of a job takes no time where the loop's clock is virtual", async () => {
  expect(await virtually(async (queue) => await queue.submit(later, hour))).toBe(hour);
});

test("a delay passes in virtual time", async () => {
  expect(await virtually(async (queue) => await queue.with({ delay: hour }).submit(later, 5))).toBe(hour + 5);
});

test("the pauses between attempts pass in virtual time", async () => {
  failures = [];
  expect(await virtually(async (queue) => await queue.submit(flaky))).toBe(4);
  expect(failures).toEqual([0, hour, 3 * hour, 7 * hour]);
});

test("a timeout cancels the job at its virtual time", async () => {
  const end = await virtually(async (queue) => {
    await expect(timeout(1_000, () => queue.submit(later, hour))).rejects.toThrow(TimeoutError);
    return getRunningLoop().time();
  });
  expect(end).toBe(1_000);
});

test("a job that nobody will ever run is a deadlock, and not a wait for ever", async () => {
  const waiting = run(
    async () => {
      await using queue = new TaskQueue({ engine: `memory:${randomUUID()}` });
      await queue.submit(later, 1);
    },
    { clock: virtualClock() },
  );
  await expect(waiting).rejects.toThrow(DeadlockError);
});

test("a job that no worker knows is a deadlock, too, and a worker that starts later runs it", async () => {
  const other = defineTask({ name: "memory.other" }, async () => 7);
  const forgotten = run(
    async () => {
      const engine = `memory:${randomUUID()}`;
      const worker = new TaskWorker({ engine, tasks: [later] }).run();
      await using queue = new TaskQueue({ engine });
      await queue.submit(other);
      worker.cancel();
    },
    { clock: virtualClock() },
  );
  await expect(forgotten).rejects.toThrow(/memory\.other/);
  await expect(forgotten).rejects.toThrow(DeadlockError);

  const end = await virtually(async (queue) => {
    const job = queue.submit(other);
    await sleep(hour);
    expect(await job.state()).toBe("delayed");
    const worker = new TaskWorker({ engine: queue.engine, tasks: [other] }).run();
    expect(await job).toBe(7);
    worker.cancel();
    await worker.catch(() => {});
    const dropped = queue.submit(defineTask({ name: "memory.dropped" }, async () => {}));
    await sleep(hour);
    dropped.cancel();
    await expect(dropped).rejects.toThrow(CancelledError);
    return getRunningLoop().time();
  });
  // The first worker can take the job first, and leaves it to the second one for some milliseconds.
  expect(end - 2 * hour).toBeLessThan(1_000);
});

test("there is no BullMQ queue for tools to look at, and it says so", async () => {
  const engine = openEngine("memory:tools");
  expect(() => engine.openQueue("default.loop")).toThrow(
    expect.objectContaining({ code: "ENGINE_UNSUPPORTED", message: expect.stringContaining("embedded:") }),
  );
  await engine.close();
});

test.each(clockChanges)(
  "a cron pattern keeps to its zone over the change of the clock: %s",
  async (_name, when, start, expected) => {
    const times: string[] = [];
    const all = new Event();
    const note = defineTask({ name: "memory.note" }, async () => {
      times.push(new Date(getRunningLoop().time()).toISOString());
      if (times.length === expected.length) all.set();
    });
    await run(
      async () => {
        const engine = `memory:${randomUUID()}`;
        const worker = new TaskWorker({ engine, tasks: [note] }).run();
        await using queue = new TaskQueue({ engine });
        await queue.schedule("over-a-change", when, note);
        await all.wait();
        worker.cancel();
        await worker.catch(() => {});
      },
      { clock: virtualClock({ start: Date.parse(start) }) },
    );
    expect(times).toEqual(expected);
  },
);

test("a schedule ends at its `until`", async () => {
  const times: number[] = [];
  const note = defineTask({ name: "memory.until" }, async () => void times.push(getRunningLoop().time()));
  await run(
    async () => {
      const engine = `memory:${randomUUID()}`;
      const worker = new TaskWorker({ engine, tasks: [note] }).run();
      await using queue = new TaskQueue({ engine });
      await queue.schedule("short", { every: 1_000, until: 2_500 }, note);
      const over = await queue.schedule("over", { every: 1_000, until: -1 }, note);
      expect(over.next).toBeUndefined();
      await sleep(hour);
      expect(await queue.schedules()).toEqual([]);
      worker.cancel();
      await worker.catch(() => {});
    },
    { clock: virtualClock() },
  );
  expect(times).toEqual([0, 1_000, 2_000]);
});

test("an interval that was paused for several beats runs once to make up for them", async () => {
  const times: number[] = [];
  const note = defineTask({ name: "memory.beat" }, async () => void times.push(getRunningLoop().time()));
  await run(
    async () => {
      const engine = `memory:${randomUUID()}`;
      const worker = new TaskWorker({ engine, tasks: [note] }).run();
      await using queue = new TaskQueue({ engine });
      const schedule = await queue.schedule("beat", { every: 1_000 }, note);
      await sleep(500);
      await queue.pause();
      await sleep(3_800);
      await queue.resume();
      await sleep(2_000);
      await schedule.remove();
      worker.cancel();
      await worker.catch(() => {});
    },
    { clock: virtualClock() },
  );
  expect(times).toEqual([0, 4_300, 5_000, 6_000]);
});
