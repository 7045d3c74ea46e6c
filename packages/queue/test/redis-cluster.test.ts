import { gather } from "@taskloom/loop";
import { EngineUrlError, TaskQueue, TaskWorker, defineTask, openEngine } from "@taskloom/queue";
import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { redisClusterTest } from "../../../test/support/redis-cluster.ts";
import { redisTest } from "../../../test/support/redis.ts";

const double = defineTask({ name: "cluster.double" }, async (n: number) => n * 2);

redisClusterTest("1,000 jobs on a cluster, whose keys are all on one node", async ({ cluster }) => {
  const worker = new TaskWorker({ engine: cluster.url, queues: ["many"], tasks: [double] }).run();
  await using queue = new TaskQueue({ engine: cluster.url, name: "many" });
  const numbers = Array.from({ length: 1_000 }, (_, n) => n);
  expect(await gather(numbers.map((n) => queue.submit(double, n)))).toEqual(numbers.map((n) => n * 2));
  worker.cancel();
  await worker.catch(() => {});

  const keys = await Promise.all(
    cluster.nodes.map(async (url) => {
      const node = new Redis(url);
      const found = await node.keys("*");
      node.disconnect();
      return found;
    }),
  );
  expect(keys.filter((found) => found.length > 0)).toHaveLength(1);
  expect(keys.flat().filter((key) => !key.startsWith("{taskloom}:"))).toEqual([]);
});

redisClusterTest("one node suffices to find the others", async ({ cluster }) => {
  for (const node of cluster.nodes) {
    const engine = openEngine(node.replace("redis:", "redis-cluster:"));
    await engine.connect();
    expect(await engine.lookup("none.loop", ["none"])).toEqual([{ kind: "missing" }]);
    await engine.close();
  }
});

redisClusterTest("the address of one node is refused, with the one to use instead", async ({ cluster }) => {
  const node = cluster.nodes[0]!;
  const engine = openEngine(`${node}/0`);
  const refused = await engine.connect().catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: "ENGINE_UNAVAILABLE" });
  expect((refused as Error).message).toContain(
    `it is a node of a Redis Cluster, so use ${node.replace("redis:", "redis-cluster:")}`,
  );
});

redisTest("a server that is no cluster is refused as one", async ({ redis }) => {
  const engine = openEngine(redis.url.replace("redis:", "redis-cluster:"));
  const refused = await engine.connect().catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: "ENGINE_UNAVAILABLE" });
  expect((refused as Error).message).toContain("cluster support disabled");
});

test("a password is never shown", () => {
  const engine = openEngine("redis-cluster://me:se%40cret@10.0.0.1:7000,10.0.0.2");
  expect(engine.url).toBe("redis-cluster://me:***@10.0.0.1:7000,10.0.0.2");
  const refused = (url: string): Error => {
    try {
      openEngine(url);
    } catch (error) {
      return error as Error;
    }
    throw new Error(`${url} was taken`);
  };
  for (const url of [
    "redis-cluster://me:sec@ret@h",
    "redis-cluster://me:sec%ret@h",
    "rediss-cluster://:secret@",
  ]) {
    expect(refused(url)).toBeInstanceOf(EngineUrlError);
    expect(refused(url).message).not.toContain("ret@");
  }
});

test.each([
  "redis-cluster:",
  "redis-cluster://",
  "redis-cluster://host:port",
  "redis-cluster://host:7000,",
  "redis-cluster://host:7000,:7001",
  "redis-cluster://host:70000",
  "redis-cluster://host:7000/1",
  "redis-cluster://host:7000?db=1",
])("%s is no cluster's address", (url) => {
  expect(() => openEngine(url)).toThrow(/is not the address of a Redis Cluster; name nodes of it/);
});
