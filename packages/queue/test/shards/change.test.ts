import { Event } from "@taskloom/loop";
import { TaskQueue, TaskWorker, defineTask, openEngine } from "@taskloom/queue";
import { openShards } from "@taskloom/queue/operating";
import { expect } from "vitest";
import { homeKey, placeOfKey, shardOfHash } from "../../src/contract/shard-id.ts";
import { urlOf } from "../../../../test/support/redis-shards.ts";
import { shardsTest as test } from "./shards-test.ts";

const ran = new Map<string, number>();
const note = defineTask({ name: "change.note" }, async (key: string) => {
  ran.set(key, (ran.get(key) ?? 0) + 1);
  return key;
});

test("shards are added while a worker and a client run: no job is lost or runs twice", async ({
  startServers,
}) => {
  const { servers } = await startServers(3);
  ran.clear();
  const [two, three] = [urlOf(servers.slice(0, 2)), urlOf(servers)];
  await using queue = new TaskQueue({ engine: two });
  await using worker = new TaskWorker({ engine: two, tasks: [note] });
  worker.run().catch(() => {});
  await worker.ready();
  const fixed = Array.from({ length: 30 }, (_, n) => `id-${n}`);
  expect(await Promise.all(fixed.map((id) => queue.with({ id }).submit(note, id)))).toEqual(fixed);
  const delayed = queue.with({ id: "later", delay: 2_000 }).submit(note, "later");
  await delayed.sent();
  await queue.schedule("hourly", { every: 3_600_000 }, note, "schedule");
  await queue.limit({ max: 10_000, per: 1_000 });

  const admin = openShards(three);
  const report = await admin.set(3);
  expect(report).toMatchObject({ count: 3, earlier: [2] });
  expect(report.left).toBeGreaterThan(0);
  // A client with the earlier address is refused from now on, and the running ones follow.
  await expect(openEngine(two).connect()).rejects.toMatchObject({ code: "SHARDS_DIFFER" });
  await using later = new TaskQueue({ engine: three });
  await expect
    .poll(() => new Set(Array.from({ length: 9 }, () => queue.submit(note, "new").id.slice(-2))).size, {
      timeout: 20_000,
    })
    .toBe(3);
  // An id that was used before is the same job for both clients, wherever the new layout would put it.
  expect(await Promise.all(fixed.map((id) => queue.with({ id }).submit(note, id)))).toEqual(fixed);
  expect(await Promise.all(fixed.map((id) => later.with({ id }).submit(note, id)))).toEqual(fixed);
  expect(await later.attach(note, "later")).toBe("later");
  expect(await delayed).toBe("later");
  for (const id of [...fixed, "later"]) expect(ran.get(id)).toBe(1);
  expect(await later.schedules()).toMatchObject([{ id: "hourly", every: 3_600_000 }]);
  expect((await admin.read()).shards).toHaveLength(3);
  await admin.close();
});

test("shards are removed: the last ones drain, and leave when they have no job", async ({ startServers }) => {
  const { servers } = await startServers(3);
  ran.clear();
  const [two, three] = [urlOf(servers.slice(0, 2)), urlOf(servers)];
  const engine = openEngine(three);
  await using queue = new TaskQueue({ engine });
  const keep = { completed: 1, failed: 1 };
  const jobs = Array.from({ length: 12 }, (_, n) =>
    queue.with({ id: `id-${n}`, keep }).submit(note, `id-${n}`),
  );
  for (const job of jobs) await job.sent();
  const schedules = Array.from({ length: 8 }, (_, n) => `hourly-${n}`);
  for (const id of schedules) await queue.with({ keep }).schedule(id, { every: 3_600_000 }, note, id);
  const next = (await queue.schedules()).map(({ id, next: at }) => [id, at] as const);
  const admin = openShards(three);
  expect(await admin.set(2)).toMatchObject({ count: 2, earlier: [3] });
  // The waiting jobs of the third shard run where they are.
  await using worker = new TaskWorker({ engine: two, tasks: [note] });
  worker.run().catch(() => {});
  expect(await Promise.all(jobs)).toEqual(jobs.map((_, n) => `id-${n}`));
  expect([...ran].filter(([key, count]) => key.startsWith("id-") && count !== 1)).toEqual([]);
  await expect
    .poll(async () => await admin.read(), { timeout: 40_000, interval: 500 })
    .toMatchObject({
      count: 2,
      earlier: [],
      left: 0,
    });
  // The times of the schedules are the same as before, except for those that have run since.
  const after = new Map((await queue.schedules()).map(({ id, next: at }) => [id, at]));
  expect([...after.keys()].toSorted()).toEqual(schedules);
  for (const [id, at] of next) expect(Math.abs(after.get(id)! - at!) % 3_600_000).toBe(0);
  await engine.close();
  await admin.close();
}, 90_000);

test("a number of shards is refused with the next step", async ({ startServers }) => {
  const { servers } = await startServers(3);
  const [one, two, three] = [servers[0]!.url, urlOf(servers.slice(0, 2)), urlOf(servers)];
  await using queue = new TaskQueue({ engine: one });
  await queue.submit(note, "plain").sent();
  // A queue without shards, opened as two.
  await expect(openEngine(two).connect()).rejects.toMatchObject({
    code: "SHARDS_DIFFER",
    message: expect.stringContaining("taskloom shards --set 2"),
  });
  await using admin = openShards(two);
  await expect(admin.set(0)).rejects.toMatchObject({ code: "TASK_OPTIONS" });
  await expect(admin.set(3)).rejects.toMatchObject({ code: "ENGINE_URL" });
  expect(await admin.set(2)).toMatchObject({ count: 2, earlier: [1] });
  // One of its servers, too many of them, and another order.
  for (const url of [one, servers[1]!.url, three, urlOf([servers[1]!, servers[0]!])])
    await expect(openEngine(url).connect()).rejects.toMatchObject({ code: "SHARDS_DIFFER" });
  for (const url of [`${two}?shards=3`, `${one}?shards=2`, `${one}?shards=x`, "redis://127.0.0.1,127.0.0.1"])
    expect(() => openEngine(url)).toThrow(expect.objectContaining({ code: "ENGINE_URL" }));
  await using both = openEngine(two);
  await both.connect();
});

test("a limited task whose home moves has its limit on each home until the earlier one is drained", async ({
  startServers,
}) => {
  const { servers } = await startServers(3);
  const [two, three] = [urlOf(servers.slice(0, 2)), urlOf(servers)];
  const homeOf = (name: string, count: number): number =>
    shardOfHash(placeOfKey(homeKey("loop", name)).hash, count);
  const names = Array.from({ length: 100 }, (_, n) => `change.limited${n}`);
  const name = names.find((each) => homeOf(each, 3) === 2)!;
  const gate = new Event();
  const begun: string[] = [];
  const limited = defineTask({ name, concurrency: 1 }, async (key: string) => {
    begun.push(key);
    await gate.wait();
    return key;
  });
  await using queue = new TaskQueue({ engine: two });
  await using worker = new TaskWorker({ engine: two, tasks: [limited] });
  worker.run().catch(() => {});
  await worker.ready();
  const before = ["old 1", "old 2"].map((key) => queue.submit(limited, key));
  await expect.poll(() => begun, { timeout: 20_000 }).toEqual(["old 1"]);
  const admin = openShards(three);
  await admin.set(3);
  const { engine } = queue;
  const newHome = (): number =>
    engine.shardOf!("default.loop", `loop.${engine.newJobId!({ limited: { lane: "loop", task: name } })}`);
  await expect.poll(newHome, { timeout: 40_000 }).toBe(2);
  const after = ["new 1", "new 2"].map((key) => queue.submit(limited, key));
  await expect.poll(() => begun, { timeout: 20_000 }).toEqual(["old 1", "new 1"]);
  // Each home has one job in its slot and one in its line.
  await expect
    .poll(() => queue.taskLimits(), { timeout: 20_000 })
    .toMatchObject([{ kind: "concurrency", task: name, max: 1, taken: 2, waiting: 2 }]);
  expect(begun).toEqual(["old 1", "new 1"]);
  gate.set();
  expect(await Promise.all([...before, ...after])).toEqual(["old 1", "old 2", "new 1", "new 2"]);
  await admin.close();
});
