import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Cluster } from "ioredis";
import { test } from "vitest";
import { PrivateRedis } from "./private-redis.ts";

/** A Redis Cluster for a test. */
export interface TestRedisCluster {
  /** `redis-cluster://…` with all its nodes. */
  readonly url: string;
  /** `redis://…` of each node. */
  readonly nodes: readonly string[];
  stop(): Promise<void>;
}

const missing =
  "no Redis Cluster: put redis-server and redis-cli on the PATH (Debian: apt-get install redis-server)";

/** A test with a Redis Cluster of three private nodes for its file; skipped without a `redis-server`. */
export const redisClusterTest = test.extend<{
  $file: { clusterServers: TestRedisCluster | undefined };
  $test: { cluster: TestRedisCluster };
}>({
  clusterServers: [
    // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
    async ({}, use) => {
      const cluster = await startCluster();
      await use(cluster);
      await cluster?.stop();
    },
    { scope: "file" },
  ],
  cluster: async ({ clusterServers, skip }, use) => {
    if (clusterServers === undefined) return skip(missing);
    await use(clusterServers);
  },
});

async function startCluster(): Promise<TestRedisCluster | undefined> {
  const nodes: PrivateRedis[] = [];
  const stop = async (): Promise<void> => void (await Promise.all(nodes.map(async (node) => node.stop())));
  try {
    for (let count = 0; count < 3; count++) nodes.push(await PrivateRedis.start({ cluster: true }));
    const hosts = nodes.map(({ url }) => url.slice("redis://".length));
    await promisify(execFile)("redis-cli", ["--cluster", "create", ...hosts, "--cluster-yes"]);
    await untilReady(hosts);
    return { url: `redis-cluster://${hosts.join(",")}`, nodes: nodes.map(({ url }) => url), stop };
  } catch (error) {
    await stop();
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** `redis-cli` ends when the nodes know each other; they accept commands a moment later. */
async function untilReady(hosts: readonly string[]): Promise<void> {
  const nodes = hosts.map((host) => ({
    host: host.split(":")[0]!,
    port: Number(host.split(":")[1]),
  }));
  const client = new Cluster(nodes, { clusterRetryStrategy: () => 50, maxRedirections: Infinity });
  client.on("error", () => {});
  await client.get("ready");
  client.disconnect();
}
