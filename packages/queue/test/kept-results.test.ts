import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
import { Redis } from "ioredis";
import { expect } from "vitest";
import type { ReplyMessage } from "../src/contract/replies.ts";
import { ReplyStream } from "../src/engines/redis/reply-stream.ts";
import { ownRedisTest as test } from "../../../test/support/redis.ts";

const megabyte = 1_000_000;
const results = process.env["TASKLOOM_FAULTS"] === "full" ? 300 : 60;
const big = defineTask({ name: "test.big" }, async (n: number) => String(n).padEnd(megabyte, "x"));

async function usedBy(redis: Redis, pattern: string): Promise<number> {
  let bytes = 0;
  for (const key of await redis.keys(pattern))
    bytes += Number(await redis.call("MEMORY", "USAGE", key, "SAMPLES", "0"));
  return bytes;
}

async function usedInAll(redis: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.info("memory"))?.[1]);
}

test(`Redis keeps none of ${results} results of 1 MB that are kept for 0 ms`, async ({ redis }) => {
  const admin = new Redis(redis.url);
  await using queue = new TaskQueue({ engine: redis.url, name: "kept" });
  const worker = new TaskWorker({ engine: redis.url, queues: ["kept"], tasks: [big], concurrency: 4 });
  const running = worker.run();
  await worker.ready();
  const before = await usedInAll(admin);
  const unkept = queue.with({ keep: { completed: 0, failed: 0 } });
  const tasks = Array.from({ length: results }, (_, n) => unkept.submit(big, n));
  expect((await Promise.all(tasks)).map((value) => Number.parseInt(value, 10))).toEqual([...tasks.keys()]);
  const atTheEnd = await usedInAll(admin);
  // What was read is removed at the next read, which blocks for 5 s at most; a worker looks for old jobs every 5 s.
  await expect.poll(() => usedBy(admin, "*:replies:*"), { timeout: 20_000 }).toBeLessThan(megabyte);
  await expect.poll(() => usedBy(admin, "*:events"), { timeout: 20_000 }).toBeLessThan(5 * megabyte);
  await expect
    .poll(() => usedInAll(admin), { timeout: 20_000, interval: 100 })
    .toBeLessThan(before + 10 * megabyte);
  const left = (await usedInAll(admin)) - before;
  process.stderr.write(
    `  measured: ${results} results of 1 MB, keep 0: ${Math.round((atTheEnd - before) / megabyte)} MB at the last result, ${(left / megabyte).toFixed(1)} MB left\n`,
  );
  running.cancel();
  await running.catch(() => {});
  admin.disconnect();
});

test("a stream of replies that nobody reads is bounded in bytes, and keeps the last ones", async ({
  redis,
}) => {
  const client = new Redis(redis.url);
  const replies = new ReplyStream(client, "test", "this-process", async () => 0);
  const reply = (value: string): ReplyMessage => ({
    id: "some-id",
    outcome: { state: "completed", value },
    attempts: 1,
  });
  for (let n = 0; n < 60; n++) {
    replies.send("slow", reply(String(n).padEnd(megabyte, "x")));
    await client.ping(); // Each in a message of its own.
  }
  await expect.poll(() => client.xlen("test:replies:slow")).toBeGreaterThan(0);
  expect(await usedBy(client, "test:replies:slow")).toBeLessThan(40 * megabyte);
  const [[, [, last = ""]] = ["", []]] = await client.xrevrange("test:replies:slow", "+", "-", "COUNT", 1);
  expect(last).toContain(`"value":"59x`);
  replies.close();
  client.disconnect();
});
