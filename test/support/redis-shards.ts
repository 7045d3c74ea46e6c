import { test } from "vitest";
import { PrivateRedis } from "./private-redis.ts";

/** Several Redis servers for a test, one for each shard of a queue. */
export interface TestRedisShards {
  /** `redis://…` with all servers. */
  readonly url: string;
  readonly servers: readonly PrivateRedis[];
}

/** Starts so many servers. */
export async function startShards(
  count: number,
  settings: { readonly appendonly?: boolean } = {},
): Promise<TestRedisShards> {
  const servers: PrivateRedis[] = [];
  try {
    for (let at = 0; at < count; at++) servers.push(await PrivateRedis.start(settings));
  } catch (error) {
    await Promise.all(servers.map((server) => server.stop()));
    throw error;
  }
  return { url: urlOf(servers), servers };
}

/** Returns the address of a queue with a shard on each server. */
export function urlOf(servers: readonly PrivateRedis[]): string {
  return `redis://${servers.map(({ url }) => url.slice("redis://".length)).join(",")}`;
}

/** A test with two private servers for its file; skipped without a `redis-server`. */
export const redisShardsTest = test.extend<{
  $file: { shardServers: TestRedisShards | undefined };
  $test: { shards: TestRedisShards };
}>({
  shardServers: [
    // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
    async ({}, use) => {
      const shards = await startShards(2).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return undefined;
        throw error;
      });
      await use(shards);
      await Promise.all(shards?.servers.map((server) => server.stop()) ?? []);
    },
    { scope: "file" },
  ],
  shards: async ({ shardServers, skip }, use) => {
    if (shardServers === undefined)
      return skip("no redis-server on the PATH (Debian: apt-get install redis-server)");
    await use(shardServers);
  },
});
