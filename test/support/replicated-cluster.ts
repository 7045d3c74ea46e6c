import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Cluster, Redis } from "ioredis";
import { PrivateRedis } from "./private-redis.ts";

/** A Redis Cluster of three masters with a replica each, whose nodes a test may kill. */
export interface ReplicatedCluster {
  /** `redis-cluster://…` with all nodes. */
  readonly url: string;
  /** Returns the node that is at an address, as `host:port`. */
  node(address: string): PrivateRedis;
  /** Returns the address of the master that has a slot. */
  masterOf(slot: number): Promise<string>;
  stop(): Promise<void>;
}

/**
 * Starts six servers. A node is replaced after two seconds, and the other masters go on meanwhile: by default a cluster
 * refuses all commands while a part of the slots has no master.
 */
export async function startReplicatedCluster(): Promise<ReplicatedCluster> {
  const nodes: PrivateRedis[] = [];
  const stop = async (): Promise<void> => void (await Promise.all(nodes.map((node) => node.stop())));
  try {
    for (let count = 0; count < 6; count++) nodes.push(await PrivateRedis.start({ cluster: true }));
    const hosts = nodes.map(({ url }) => url.slice("redis://".length));
    for (const { url } of nodes) {
      const redis = new Redis(url);
      await redis.config("SET", "cluster-node-timeout", "2000");
      await redis.config("SET", "cluster-require-full-coverage", "no");
      redis.disconnect();
    }
    const create = ["--cluster", "create", ...hosts, "--cluster-replicas", "1", "--cluster-yes"];
    await promisify(execFile)("redis-cli", create);
    const client = new Cluster(hosts.map(addressOf), {
      clusterRetryStrategy: () => 50,
      maxRedirections: Infinity,
    });
    client.on("error", () => {});
    await client.get("ready");
    await replicasAreThere(nodes);
    const masterOf = async (slot: number): Promise<string> => {
      for (const { url } of nodes) {
        const redis = new Redis(url, { retryStrategy: null, lazyConnect: true });
        redis.on("error", () => {});
        try {
          await redis.connect();
          for (const [from, to, first] of await redis.cluster("SLOTS"))
            if (from <= slot && slot <= to && first !== undefined) return `${first[0]}:${first[1]}`;
        } catch {
          // The node is down. Any other one knows the masters.
        } finally {
          redis.disconnect();
        }
      }
      throw new Error(`no master has slot ${slot}`);
    };
    return {
      url: `redis-cluster://${hosts.join(",")}`,
      node: (address) => nodes[hosts.indexOf(address)]!,
      masterOf,
      stop: async () => {
        client.disconnect();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function addressOf(host: string): { host: string; port: number } {
  const [name = "", port] = host.split(":");
  return { host: name, port: Number(port) };
}

/** Resolves when each master has a replica that has copied its data. */
async function replicasAreThere(nodes: readonly PrivateRedis[]): Promise<void> {
  for (const { url } of nodes) {
    const redis = new Redis(url);
    for (;;) {
      const info = await redis.info("replication");
      const isMaster = info.includes("role:master");
      if (isMaster ? info.includes("state=online") : info.includes("master_link_status:up")) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    redis.disconnect();
  }
}
