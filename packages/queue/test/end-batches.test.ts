import { Event } from "@taskloom/loop";
import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { batchScript } from "../src/bullmq/end-batches.ts";
import { redisTest } from "../../../test/support/redis.ts";

redisTest(
  "jobs that end together share scripts, and one that lost its lock harms no other",
  async ({ redis }) => {
    const gate = new Event();
    const runs = new Map<number, number>();
    const task = defineTask({ name: "test.together" }, async (n: number) => {
      runs.set(n, (runs.get(n) ?? 0) + 1);
      await gate.wait();
      return n;
    });
    const client = new Redis(redis.url);
    await using queue = new TaskQueue({ engine: redis.url, name: "together" });
    const worker = new TaskWorker({
      engine: redis.url,
      queues: ["together"],
      tasks: [task],
      concurrency: 64,
    });
    const running = worker.run();
    try {
      const tasks = Array.from({ length: 64 }, (_, n) => queue.submit(task, n));
      await expect.poll(() => runs.size, { timeout: 10_000 }).toBe(64);
      const robbed = tasks[5]!;
      expect(await client.del(`taskloom:together.loop:${robbed.id}:lock`)).toBe(1);
      await client.config("RESETSTAT");
      gate.set();
      await Promise.all(tasks.filter((each) => each !== robbed));
      const scripts = Number(/cmdstat_evalsha:calls=(\d+)/.exec(await client.info("commandstats"))?.[1]);
      // 64 ends in scripts for eight; a few more are the worker's other business.
      expect(scripts).toBeLessThan(32);
      // Whoever has lost the lock does not store an end: the job is found, and run again.
      expect(await robbed).toBe(5);
      expect([...runs.values()].filter((count) => count !== 1)).toEqual([2]);
    } finally {
      running.cancel();
      await running.catch(() => {});
      client.disconnect();
    }
  },
);

test("a script that is not BullMQ's as it was is left alone", () => {
  const beginning = "local jobIdKey = KEYS[12]";
  expect(batchScript("return 1")).toBeUndefined();
  expect(batchScript(`${beginning}\n${beginning}\n`)).toBeUndefined();
  expect(batchScript(`local function a() return KEYS[1] end\n${beginning}\nreturn 1`)).toBeUndefined();
  expect(batchScript(`--[[ KEYS[1] ]]\nlocal a = 1 -- ARGV[1]\n${beginning}\nreturn 1`)).toContain(
    "local function finish(KEYS, ARGV)",
  );
});
