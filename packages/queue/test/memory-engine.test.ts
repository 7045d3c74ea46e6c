import { randomUUID } from "node:crypto";
import { DeadlockError, getRunningLoop, run, sleep, timeout, TimeoutError } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { TaskQueue, TaskWorker, defineTask, openEngine } from "@taskloom/queue";
import { expect, test } from "vitest";

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

test("there is no BullMQ queue for tools to look at, and it says so", async () => {
  const engine = openEngine("memory:tools");
  expect(() => engine.openQueue("default.loop")).toThrow(
    expect.objectContaining({ code: "ENGINE_UNSUPPORTED", message: expect.stringContaining("embedded:") }),
  );
  await engine.close();
});
