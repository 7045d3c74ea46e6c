import { setTimeout as delay } from "node:timers/promises";
import { TaskQueue, TaskloomQueueError } from "@taskloom/queue";
import type { RemoteTask } from "@taskloom/queue";
import { Redis } from "ioredis";
import { expect } from "vitest";
import { faultTest, full, measured } from "./support/fault-test.ts";
import { marked } from "./support/tasks.ts";

const jobs = full ? 5_000 : 800;
const deaths = full ? 10 : 3;

/** Submits jobs, and calls `fault` after each further share of them has ended. */
async function underLoad(
  queue: TaskQueue,
  fault: () => Promise<void>,
): Promise<{ tasks: RemoteTask<string>[]; keys: string[] }> {
  const keys = Array.from({ length: jobs }, (_, index) => `job-${index}`);
  let ended = 0;
  const tasks = keys.map((key) => queue.submit(marked, key, 50));
  for (const task of tasks) {
    task.addDoneCallback(() => ended++);
    task.catch(() => {});
  }
  for (let share = 1; share <= deaths; share++) {
    await expect
      .poll(() => ended, { timeout: 120_000, interval: 20 })
      .toBeGreaterThanOrEqual(Math.floor((share * jobs) / (deaths + 2)));
    await fault();
  }
  return { tasks, keys };
}

faultTest(
  `Redis dies ${deaths} times under load and comes back with its data: nothing is lost, nothing doubled`,
  { timeout: 600_000 },
  async ({ redis, workers, ledger }) => {
    await using queue = new TaskQueue({ engine: redis.url });
    await Promise.all([workers.start(), workers.start()]);
    const { tasks, keys } = await underLoad(queue, async () => {
      await redis.kill();
      await delay(1_000);
      await redis.restart();
    });
    const begun = performance.now();
    const values = await Promise.all(tasks);
    const waited = performance.now() - begun;
    expect(values).toEqual(keys.map((key, index) => `${key} of ${tasks[index]?.id}`));
    const runs = ledger.runs();
    const doubled = keys.filter((key) => runs.get(key)?.length !== 1);
    expect(doubled).toEqual([]);
    expect(await queue.counts()).toMatchObject({ waiting: 0, active: 0, completed: jobs, failed: 0 });
    measured(
      `${jobs} jobs, ${deaths} deaths of Redis (AOF): 0 lost, 0 doubled; all over ${Math.round(waited)} ms after the last`,
    );
  },
);

/** The result of each waiter must be its own, or an error with the reason; everything else is a fault. */
async function ownOrClear(tasks: readonly RemoteTask<string>[], keys: readonly string[]): Promise<number> {
  const outcomes = await Promise.allSettled(tasks);
  let own = 0;
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.status === "rejected") expect(outcome.reason).toBeInstanceOf(TaskloomQueueError);
    else {
      expect(outcome.value).toBe(`${keys[index]} of ${tasks[index]?.id}`);
      own++;
    }
  }
  return own;
}

faultTest.extend<{ appendonly: boolean }>({ appendonly: false })(
  `Redis dies ${deaths} times under load and comes back empty: every waiter gets its own result or a clear error`,
  { timeout: 600_000 },
  async ({ redis, workers }) => {
    await using queue = new TaskQueue({ engine: redis.url });
    await Promise.all([workers.start(), workers.start()]);
    const { tasks, keys } = await underLoad(queue, async () => {
      await redis.kill();
      await redis.restart();
    });
    const own = await ownOrClear(tasks, keys);
    measured(
      `${jobs} jobs, ${deaths} deaths of Redis without persistence: ${own} own results, ${jobs - own} errors`,
    );
    // The jobs are added again under their ids, which is safe while results are kept.
    expect(own).toBe(jobs);
  },
);

faultTest(
  "a Redis that is flushed under its workers: they go on, and every waiter gets its own result",
  { timeout: 600_000 },
  async ({ redis, workers }) => {
    await using queue = new TaskQueue({ engine: redis.url });
    await Promise.all([workers.start(), workers.start()]);
    const other = new Redis(redis.url);
    const { tasks, keys } = await underLoad(queue, async () => void (await other.flushall()));
    other.disconnect();
    expect(await ownOrClear(tasks, keys)).toBe(jobs);
  },
);

faultTest("closing a queue and a worker is bounded while Redis is gone", async ({ redis, workers }) => {
  const queue = new TaskQueue({ engine: redis.url });
  const worker = await workers.start({ drain: 60 });
  const task = queue.submit(marked, "endless", 600_000);
  await expect.poll(() => queue.counts().then(({ active }) => active), { timeout: 20_000 }).toBe(1);
  await redis.kill();
  const begun = performance.now();
  await queue.close();
  await expect(task).rejects.toMatchObject({ code: "QUEUE_CLOSED" });
  measured(`closing a queue without its Redis took ${Math.round(performance.now() - begun)} ms`);
  expect((await worker.kill("SIGTERM")).code).toBe(0);
  measured(`and SIGTERM of a worker without its Redis ${Math.round(performance.now() - begun)} ms`);
});
