import { sleep } from "@taskloom/loop";
import { TaskQueue, TaskWorker, call, currentJob, defineTask, openEngine } from "@taskloom/queue";
import { LaneQueues, readRateLimit } from "@taskloom/queue/operating";
import { Redis } from "ioredis";
import { expect } from "vitest";
import { shardsTest as test } from "./shards-test.ts";

// The exceptions of docs/scaling.md: what holds on each shard, and not for the whole queue.

const shardIn = (id: string): number => Number(/~s(\d+)$/.exec(id)?.[1]);

test("order and priorities hold on each shard", async ({ startServers }) => {
  const { url } = await startServers(2);
  const order: number[][] = [[], []];
  const note = defineTask(
    { name: "except.order" },
    async (shard: number, n: number) => void order[shard]!.push(n),
  );
  await using engine = openEngine(url);
  await using queue = new TaskQueue({ engine });
  await queue.connect();
  const jobs = [];
  for (const priority of [9, 3, 5]) {
    for (let each = 0; each < 2; each++) {
      const id = engine.newJobId!({});
      jobs.push(queue.with({ id, priority }).submit(note, shardIn(id), priority));
    }
  }
  for (const job of jobs) await job.sent();
  await using worker = new TaskWorker({ engine: url, tasks: [note], concurrency: 1 });
  worker.run().catch(() => {});
  await Promise.all(jobs);
  expect(order).toEqual([
    [3, 5, 9],
    [3, 5, 9],
  ]);
});

test("a rate limit is divided, and below the number of shards it is a longer time on each", async ({
  startServers,
}) => {
  const { url, servers } = await startServers(4);
  await using queue = new TaskQueue({ engine: url });
  const queues = new LaneQueues(queue.engine, queue.name);
  const limits = async (): Promise<unknown[]> =>
    await Promise.all(
      servers.map(async (server) => {
        const redis = new Redis(server.url);
        const limit = await redis.hmget("taskloom:default.loop:meta", "max", "duration");
        redis.disconnect();
        return limit.map(Number);
      }),
    );
  await queue.limit({ max: 10, per: 1_000 });
  expect(await limits()).toEqual([
    [3, 1_000],
    [3, 1_000],
    [2, 1_000],
    [2, 1_000],
  ]);
  expect(await readRateLimit(queues)).toEqual({ max: 10, per: 1_000 });
  await queue.limit({ max: 1, per: 500 });
  expect(await limits()).toEqual(Array.from({ length: 4 }, () => [1, 2_000]));
  expect(await readRateLimit(queues)).toEqual({ max: 1, per: 500 });
  await queue.limit(undefined);
  expect(await readRateLimit(queues)).toBeUndefined();
  await queues.close();
});

test("a deduplication key, a chosen id and a flow are each on one shard of the whole queue", async ({
  startServers,
}) => {
  const { url, servers } = await startServers(4);
  const part = defineTask({ name: "except.part" }, async (n: number) => n);
  const sum = defineTask({ name: "except.sum" }, async () => currentJob()?.childResults);
  await using queue = new TaskQueue({ engine: url });
  await using other = new TaskQueue({ engine: url });
  const keyed = Array.from({ length: 8 }, (_, n) =>
    (n % 2 ? queue : other).with({ deduplicate: "key" }).submit(part, n),
  );
  const chosen = Array.from({ length: 8 }, (_, n) =>
    (n % 2 ? queue : other).with({ id: "chosen" }).submit(part, n),
  );
  const flow = queue.flow(call(sum), [call(part, 1), call(part, 2), call(part, 3)]);
  for (const job of [...keyed, ...chosen, flow]) await job.sent();
  expect((await queue.counts()).waiting).toBe(1 + 1 + 4);
  expect(new Set([flow, ...flow.children].map(({ id }) => shardIn(id))).size).toBe(1);
  await using worker = new TaskWorker({ engine: url, tasks: [part, sum] });
  worker.run().catch(() => {});
  expect(await flow).toEqual([1, 2, 3]);
  expect(new Set(await Promise.all(keyed)).size).toBe(1);
  expect(new Set(await Promise.all(chosen)).size).toBe(1);
  expect(servers).toHaveLength(4);
});

test("all jobs of a limited task are on one shard, and its limit holds for them together", async ({
  startServers,
}) => {
  const { url } = await startServers(4);
  let running = 0;
  let most = 0;
  const body = async (n: number): Promise<number> => {
    most = Math.max(most, ++running);
    await sleep(1);
    running--;
    return n;
  };
  const limited = defineTask({ name: "except.one", concurrency: 1 }, body);
  await using queue = new TaskQueue({ engine: url });
  await queue.connect();
  const jobs = Array.from({ length: 12 }, (_, n) =>
    (n % 3 === 0 ? queue.with({ delay: 5 }) : queue).submit(limited, n),
  );
  for (const job of jobs) await job.sent();
  expect(new Set(jobs.map(({ id }) => queue.engine.shardOf!("default.loop", id))).size).toBe(1);
  const workers = [1, 2].map(() => new TaskWorker({ engine: url, tasks: [limited], concurrency: 8 }));
  for (const worker of workers) worker.run().catch(() => {});
  expect(await Promise.all(jobs)).toEqual(Array.from({ length: 12 }, (_, n) => n));
  expect(most).toBe(1);
  for (const worker of workers) await worker.close();
});

test("a job whose shard does not follow from its limited task is refused before it is stored", async ({
  startServers,
}) => {
  const { url } = await startServers(2);
  const plain = defineTask({ name: "except.plain" }, async (n: number) => n);
  const limited = defineTask({ name: "except.limited", concurrency: 1 }, async (n: number) => n);
  // A queue with one shard can grow, so it refuses, too.
  for (const engine of [url, `${(await startServers(1)).url}?shards=1`]) {
    await using queue = new TaskQueue({ engine });
    const refused = async (submit: () => unknown): Promise<void> => {
      await expect(async () => await submit()).rejects.toMatchObject({
        code: "ENGINE_UNSUPPORTED",
        message: expect.stringContaining("Submit the job by itself") as string,
      });
    };
    await refused(() => queue.with({ id: "chosen" }).submit(limited, 1));
    await refused(() => queue.with({ deduplicate: "key" }).submit(limited, 1));
    await refused(() => queue.flow(call(plain, 0), [call(limited, 1)]));
    await refused(() => queue.flow(call(limited, 0), [call(plain, 1)]));
    await refused(() => queue.schedule("tick", { every: 1_000 }, limited, 1));
    expect(await queue.counts()).toMatchObject({ waiting: 0, delayed: 0, active: 0, failed: 0 });
    expect(await queue.schedules()).toEqual([]);
    expect(await queue.taskLimits()).toEqual([]);
  }
});

test("a worker fails a job that its limit does not count", async ({ startServers }) => {
  const { url } = await startServers(2);
  const before = defineTask({ name: "except.grown" }, async (shard: number) => shard);
  const after = defineTask(
    { name: "except.grown", concurrency: 1, attempts: 3 },
    async (shard: number) => shard,
  );
  await using queue = new TaskQueue({ engine: url });
  await queue.connect();
  // These jobs were submitted while their task had no limit, and are on both shards.
  const jobs = [0, 1].map(() => queue.submit(before, 7));
  for (const job of jobs) await job.sent();
  await using worker = new TaskWorker({ engine: url, tasks: [after] });
  worker.run().catch(() => {});
  const ends = await Promise.allSettled(jobs);
  expect(ends.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
  const failed = ends.find((end) => end.status === "rejected");
  expect(failed?.reason).toMatchObject({ code: "ENGINE_UNSUPPORTED" });
});

test("BullMQ's own classes see the first shard", async ({ startServers }) => {
  const { url } = await startServers(2);
  const part = defineTask({ name: "except.bullmq" }, async (n: number) => n);
  await using engine = openEngine(url);
  await using queue = new TaskQueue({ engine });
  const jobs = Array.from({ length: 6 }, (_, n) => queue.submit(part, n));
  for (const job of jobs) await job.sent();
  const first = engine.openQueue("default.loop");
  expect(await first.getWaitingCount()).toBe(3);
  await first.close();
});
