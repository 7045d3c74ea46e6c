import { TaskQueue, TaskWorker, call, defineTask, openEngine } from "@taskloom/queue";
import { expect } from "vitest";
import { shardsTest as test } from "./shards-test.ts";

const double = defineTask({ name: "lost.double" }, async (n: number) => n * 2);

/** Returns the shard that the id of a new job names. */
const shardIn = (id: string): number => Number(/~s(\d+)$/.exec(id)?.[1]);

test("the jobs of a lost shard wait, all others go on, and everything resumes", async ({ startServers }) => {
  const { url, servers } = await startServers(3, { appendonly: true });
  await using engine = openEngine(url);
  await using queue = new TaskQueue({ engine });
  await queue.connect();
  // One job waits on each shard.
  const waiting = Array.from({ length: 3 }, (_, n) => queue.submit(double, n));
  for (const task of waiting) await task.sent();
  const lost = waiting.find(({ id }) => shardIn(id) === 1)!;
  await servers[1]!.kill();
  await using worker = new TaskWorker({ engine: url, tasks: [double], concurrency: 2 });
  const running = worker.run();
  running.catch(() => {});
  await worker.ready();
  for (const task of waiting) if (task !== lost) expect(await task).toBeGreaterThanOrEqual(0);
  // New jobs avoid the shard as soon as its loss is known.
  const more = Array.from({ length: 30 }, (_, n) => queue.submit(double, n));
  expect(more.filter(({ id }) => shardIn(id) === 1)).toEqual([]);
  expect(await Promise.all(more)).toEqual(more.map((_, n) => 2 * n));
  expect(await queue.flow(call(double, 4), [call(double, 5)])).toBe(8);
  // The state of a waiting job says that its shard is away.
  await expect
    .poll(async () => await lost.state().catch((error: Error & { code?: string }) => error.code), {
      timeout: 15_000,
    })
    .toBe("SHARD_DOWN");
  await expect(queue.counts()).rejects.toMatchObject({ code: "SHARD_DOWN" });
  expect(lost.done()).toBe(false);
  await servers[1]!.restart();
  expect(await lost).toBe(2 * waiting.indexOf(lost));
  expect(await queue.counts()).toMatchObject({ waiting: 0, failed: 0 });
});

test("a client and a worker start while a shard is away, and use it when it is back", async ({
  startServers,
}) => {
  const { url, servers } = await startServers(2, { appendonly: true });
  await using first = openEngine(url);
  await first.connect();
  await first.close();
  await servers[1]!.kill();
  await using queue = new TaskQueue({ engine: url });
  await using worker = new TaskWorker({ engine: url, tasks: [double] });
  worker.run().catch(() => {});
  await worker.ready();
  // The ids of submissions before the first connection name all shards in turn, since no loss is known yet.
  const early = Array.from({ length: 4 }, (_, n) => queue.submit(double, n));
  const waiting = early.filter(({ id }) => shardIn(id) === 1);
  expect(waiting.length).toBe(2);
  await Promise.all(early.filter((task) => !waiting.includes(task)));
  // The client has connected, and avoids the shard.
  const later = Array.from({ length: 4 }, (_, n) => queue.submit(double, n));
  expect(later.filter(({ id }) => shardIn(id) === 1)).toEqual([]);
  expect(await Promise.all(later)).toEqual([0, 2, 4, 6]);
  expect(waiting.filter((task) => task.done())).toEqual([]);
  // A fixed id can belong to the lost shard. Its job waits there.
  const fixed = Array.from({ length: 16 }, (_, n) => queue.with({ id: `fixed-${n}` }).submit(double, n));
  const onLost = fixed.filter(({ id }) => queue.engine.shardOf!("default.loop", id) === 1);
  const others = fixed.filter((task) => !onLost.includes(task));
  expect(onLost.length * others.length).toBeGreaterThan(0);
  await Promise.all(others);
  expect(onLost.filter((task) => task.done())).toEqual([]);
  await servers[1]!.restart();
  expect(await Promise.all(fixed)).toEqual(fixed.map((_, n) => 2 * n));
  expect(await Promise.all(early)).toEqual([0, 2, 4, 6]);
});
