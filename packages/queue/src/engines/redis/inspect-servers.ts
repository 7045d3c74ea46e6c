import { Cluster } from "ioredis";
import type { Redis } from "ioredis";
import type { RedisClient } from "./redis-client.ts";

/** Rejects a single node of a cluster, which would answer an error for every key of another node, and much later. */
export async function refuseNodeOfCluster(client: RedisClient, url: string): Promise<void> {
  if (client instanceof Cluster) return;
  const cluster = await client.info("cluster").catch(() => ""); // Some servers refuse the question.
  if (cluster.includes("cluster_enabled:1"))
    throw new Error(
      `it is a node of a Redis Cluster, so use ${url.replace(/^(rediss?):/i, "$1-cluster:").replace(/(?<=[^/])\/[^/]*$/, "")}`,
    );
}

/** Returns a sentence for each setting of a client's servers that puts jobs at risk. */
export async function inspectServers(client: RedisClient, url: string): Promise<Set<string>> {
  const warnings = new Set<string>();
  // Any node of a cluster may have the jobs some day.
  for (const server of client instanceof Cluster ? client.nodes() : [client])
    for (const warning of await inspectServer(server, url)) warnings.add(warning);
  return warnings;
}

async function inspectServer(server: Redis, url: string): Promise<string[]> {
  const setting = async (name: string): Promise<string | undefined> => {
    // Managed servers forbid CONFIG. An unknown setting causes no warning.
    const answer = await server.config("GET", name).catch(() => undefined);
    return answer?.[1];
  };
  const warnings: string[] = [];
  const policy = await setting("maxmemory-policy");
  if (policy !== undefined && policy !== "noeviction") {
    warnings.push(
      `${url} may evict jobs when memory is short: set maxmemory-policy noeviction (it is ${policy}).`,
    );
  }
  if ((await setting("appendonly")) === "no" && (await setting("save")) === "") {
    warnings.push(`${url} keeps nothing on disk, so its restart loses all jobs: set appendonly yes.`);
  }
  return warnings;
}
