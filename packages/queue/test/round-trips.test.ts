import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
import { gather } from "@taskloom/loop";
import { Redis } from "ioredis";
import { expect } from "vitest";
import { redisTest as test } from "../../../test/support/redis.ts";

const double = defineTask({ name: "trips.double" }, async (n: number) => n * 2);

/** What the server has counted: how often it read from a connection, how many bytes, and how many scripts it ran. */
async function counts(redis: Redis): Promise<{ reads: number; bytes: number; scripts: number }> {
  const stats = `${await redis.info("stats")}${await redis.info("commandstats")}`;
  const count = (pattern: RegExp): number => Number(pattern.exec(stats)?.[1] ?? 0);
  return {
    reads: count(/total_reads_processed:(\d+)/),
    bytes: count(/total_net_input_bytes:(\d+)/),
    scripts: count(/cmdstat_evalsha:calls=(\d+)/),
  };
}

test("1,000 tasks that are submitted in one iteration cost a handful of round trips", async ({ redis }) => {
  const observer = new Redis(redis.url);
  await using queue = new TaskQueue({ engine: redis.url, name: "trips" });
  await queue.submit(double, 0).sent();
  const before = await counts(observer);
  const tasks = Array.from({ length: 1_000 }, (_, n) => queue.submit(double, n));
  for (const task of tasks) await task.sent();
  const after = await counts(observer);
  // A script adds 128 jobs at most.
  expect(after.scripts - before.scripts).toBeLessThan(20);
  // The server reads at most 16 KB at a time. One by one it would read a thousand times, and be waited for as often.
  const fewest = (after.bytes - before.bytes) / 16_384;
  expect(after.reads - before.reads).toBeLessThan(20 + 2 * fewest);
  const worker = new TaskWorker({ engine: redis.url, queues: ["trips"], tasks: [double] }).run();
  expect(await gather(tasks)).toEqual(Array.from({ length: 1_000 }, (_, n) => n * 2));
  // The worker's turns grow with the load. One by one, each job would cost a script or two.
  const ended = await counts(observer);
  expect(ended.scripts - after.scripts).toBeLessThan(200);
  worker.cancel();
  await worker.catch(() => {});
  observer.disconnect();
});
