import { TaskQueue, TaskWorker, defineTask, openEngine } from "@taskloom/queue";
import { Redis } from "ioredis";
import { expect } from "vitest";
import { shardsTest as test } from "./shards-test.ts";

const shardIn = (id: string): number => Number(/~s(\d+)$/.exec(id)?.[1]);

test("no shard starves while another one is loaded, and one budget holds for all", async ({
  startServers,
}) => {
  const { url } = await startServers(3);
  let running = 0;
  let most = 0;
  const order: number[] = [];
  const work = defineTask({ name: "fair.work" }, async (shard: number) => {
    most = Math.max(most, ++running);
    order.push(shard);
    await new Promise((resolve) => setTimeout(resolve, 2));
    running--;
  });
  await using engine = openEngine(url);
  await using queue = new TaskQueue({ engine });
  await queue.connect();
  // The first shard has a backlog, and the others have a few jobs each.
  const backlog: ReturnType<typeof queue.submit>[] = [];
  const few: ReturnType<typeof queue.submit>[] = [];
  while (backlog.length < 300 || few.length < 20) {
    const id = engine.newJobId!({});
    const shard = shardIn(id);
    if (shard === 0 && backlog.length < 300) backlog.push(queue.with({ id }).submit(work, 0));
    else if (shard !== 0 && few.length < 20) few.push(queue.with({ id }).submit(work, shard));
  }
  for (const job of [...backlog, ...few]) await job.sent();
  await using worker = new TaskWorker({ engine: url, tasks: [work], concurrency: 4 });
  worker.run().catch(() => {});
  await Promise.all(few);
  // Each of the 20 jobs waits for at most a fair share of the others: three shards take turns.
  const lastOfFew = order.findLastIndex((shard) => shard !== 0);
  expect(lastOfFew).toBeLessThan(60);
  await Promise.all(backlog);
  expect(most).toBe(4);
  expect(order).toHaveLength(320);
});

test("an idle worker sends one blocking wait to each lane of a shard, and polls nothing else", async ({
  startServers,
}) => {
  const { url, servers } = await startServers(2);
  const idle = defineTask({ name: "fair.idle" }, async () => {});
  await using worker = new TaskWorker({ engine: url, tasks: [idle] });
  worker.run().catch(() => {});
  await worker.ready();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  for (const server of servers) {
    const redis = new Redis(server.url);
    await redis.config("RESETSTAT");
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    const stats = await redis.info("commandstats");
    const calls = (name: string): number =>
      Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
    // Two lanes wait, each for 5 seconds at a time.
    expect(calls("bzpopmin")).toBeGreaterThanOrEqual(2);
    expect(calls("bzpopmin")).toBeLessThanOrEqual(4);
    expect(calls("evalsha")).toBeLessThanOrEqual(30);
    // The connections of a worker to one shard: docs/scaling.md has the number.
    const connections =
      String(await redis.client("LIST"))
        .trim()
        .split("\n").length - 1;
    expect(connections).toBeLessThanOrEqual(7);
    redis.disconnect();
  }
});
