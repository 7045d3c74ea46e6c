import { setTimeout as delay } from "node:timers/promises";
import { TaskQueue, TaskWorker, defineTask, openEngine } from "@taskloom/queue";
import { openShards } from "@taskloom/queue/operating";
import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { connectToRenew } from "../../packages/queue/src/engines/redis/renewal-connection.ts";
import { prefixOfTag, slotOfTag } from "../../packages/queue/src/engines/sharded/cluster-tags.ts";
import { startReplicatedCluster } from "../support/replicated-cluster.ts";
import { full } from "./support/fault-test.ts";

const runs = new Map<number, number>();
const double = defineTask({ name: "moved.double", attempts: 3 }, async (n: number) => {
  runs.set(n, (runs.get(n) ?? 0) + 1);
  await delay(5);
  return 2 * n;
});

/** A job that outlasts a move, so that its lock is renewed meanwhile. */
const long = defineTask({ name: "moved.long", attempts: 3 }, async (n: number) => {
  longRuns.push(n);
  await delay(6_000);
  return n;
});
const longRuns: number[] = [];

/** The keys that one command moves: few, so that a slot is in between for long. */
const KEYS_AT_ONCE = 10;

/** The pause between two of these commands. */
const BETWEEN_MS = 20;

/** Moves a slot as `redis-cli --cluster reshard` does, and returns the number of its keys. */
async function moveSlot(slot: number, from: Redis, to: Redis, others: readonly Redis[]): Promise<number> {
  const [fromId, toId] = [await from.cluster("MYID"), await to.cluster("MYID")];
  await to.cluster("SETSLOT", slot, "IMPORTING", fromId);
  await from.cluster("SETSLOT", slot, "MIGRATING", toId);
  const { host = "", port = 0 } = to.options;
  let moved = 0;
  for (;;) {
    const keys = await from.cluster("GETKEYSINSLOT", slot, KEYS_AT_ONCE);
    if (keys.length === 0) break;
    await from.migrate(host, port, "", 0, 5_000, "KEYS", ...keys);
    moved += keys.length;
    await delay(BETWEEN_MS);
  }
  for (const node of [to, from, ...others]) await node.cluster("SETSLOT", slot, "NODE", toId);
  return moved;
}

test("slots of a cluster move between masters while jobs run", async ({ skip }) => {
  if (!full) skip("in the full form only (pnpm faults): it starts six servers");
  const cluster = await startReplicatedCluster();
  const opened: Redis[] = [];
  try {
    const url = `${cluster.url}?shards=3`;
    await using engine = openEngine(url);
    await using queue = new TaskQueue({ engine });
    await using worker = new TaskWorker({ engine: url, tasks: [double, long], concurrency: 40 });
    worker.run().catch(() => {});
    await worker.ready();
    await using admin = openShards(cluster.url);
    const { shards } = await admin.read();
    const places = shards.map(({ place }) => place.split(" at ") as [tag: string, master: string]);
    const masters = places.map(([, master]) => {
      const redis = new Redis(`redis://${master}`);
      opened.push(redis);
      return redis;
    });
    expect(new Set(places.map(([, master]) => master)).size).toBe(3);

    const tasks: PromiseLike<number>[] = [];
    const end = new AbortController();
    const load = (async () => {
      for (let n = 0; !end.signal.aborted; await delay(20))
        for (let each = 0; each < 6; each++, n++) tasks.push(queue.submit(double, n));
    })();
    const longTasks = Array.from({ length: 12 }, (_, n) => queue.submit(long, n));
    await delay(1_000);
    let moved = 0;
    // The slot of each shard goes once around the masters.
    for (let turn = 0; turn < 3; turn++)
      for (const [shard, [tag]] of places.entries()) {
        const [from, to, other] = [0, 1, 2].map((each) => masters[(shard + turn + each) % 3]!);
        moved += await moveSlot(slotOfTag(tag), from!, to!, [other!]);
      }
    end.abort();
    await load;
    expect(await Promise.all(tasks)).toEqual(tasks.map((_, n) => 2 * n));
    expect(await Promise.all(longTasks)).toEqual(longTasks.map((_, n) => n));
    // No lock was taken for lost while it was on the other master.
    expect(longRuns.toSorted((a, b) => a - b)).toEqual(longTasks.map((_, n) => n));
    const infos = await Promise.all(masters.map((redis) => redis.info("errorstats")));
    const refused = infos.map((info) => Number(/errorstat_TRYAGAIN:count=(\d+)/.exec(info)?.[1] ?? 0));
    // Scripts came while a part of their keys had moved. Redis has refused them as a whole, and they were repeated.
    expect(Math.max(...refused)).toBeGreaterThan(0);
    const twice = [...runs.values()].filter((count) => count > 1).length;
    console.log(
      `moved slots: ${tasks.length} jobs, ${moved} keys in nine moves, ${refused.join(" + ")} refused commands, ${twice} jobs ran twice`,
    );
    expect(runs.size).toBe(tasks.length);
    expect(await queue.counts()).toMatchObject({ waiting: 0, active: 0, failed: 0 });
  } finally {
    for (const redis of opened) redis.disconnect();
    await cluster.stop();
  }
}, 180_000);

test("a lock on the other master of a slot that moves is not lost", async ({ skip }) => {
  if (!full) skip("in the full form only (pnpm faults): it starts six servers");
  const cluster = await startReplicatedCluster();
  const opened: Redis[] = [];
  try {
    const slot = slotOfTag("taskloom");
    const master = await cluster.masterOf(slot);
    const other = await cluster.masterOf((slot + 8_192) % 16_384);
    const [from, to] = [master, other].map((address) => new Redis(`redis://${address}`)) as [Redis, Redis];
    opened.push(from, to);
    expect(other).not.toBe(master);
    const prefix = prefixOfTag("taskloom");
    const lockOf = (id: string): string => `${prefix}:lane:${id}:lock`;
    for (const id of ["a", "b"]) await from.set(lockOf(id), `token-${id}`, "PX", 60_000);
    const [fromId, toId] = [await from.cluster("MYID"), await to.cluster("MYID")];
    await to.cluster("SETSLOT", slot, "IMPORTING", fromId);
    await from.cluster("SETSLOT", slot, "MIGRATING", toId);
    const { host = "", port = 0 } = to.options;
    const move = async (id: string): Promise<unknown> =>
      await from.migrate(host, port, "", 0, 5_000, "KEYS", lockOf(id));
    await move("a");
    const [extender] = connectToRenew({ url: cluster.url, prefix }, ["lane"], 60_000);
    const extended = extender!.extend(["a", "b"], ["token-a", "token-b"], 60_000);
    // The renewal is refused at least once, while one lock is on each master.
    await expect
      .poll(async () => (await Promise.all([from, to].map((redis) => redis.info("errorstats")))).join(""), {
        timeout: 20_000,
      })
      .toMatch(/errorstat_(?:TRYAGAIN|ASK)/);
    await delay(500);
    await move("b");
    for (const node of [to, from]) await node.cluster("SETSLOT", slot, "NODE", toId);
    expect(await extended).toEqual([]);
  } finally {
    for (const redis of opened) redis.disconnect();
    await cluster.stop();
  }
}, 180_000);
