import { test } from "vitest";
import type { TestAPI } from "vitest";
import { startShards } from "../../../../test/support/redis-shards.ts";
import type { TestRedisShards } from "../../../../test/support/redis-shards.ts";

/** A test that starts servers of its own, which it may kill; skipped without a `redis-server`. */
export const shardsTest: TestAPI<{ startServers: typeof startShards }> = test.extend<{
  startServers: typeof startShards;
}>({
  startServers: async ({ skip }, use) => {
    const started: TestRedisShards[] = [];
    await use(async (...args) => {
      const shards = await startShards(...args).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT")
          return skip("no redis-server on the PATH (Debian: apt-get install redis-server)");
        throw error;
      });
      started.push(shards);
      return shards;
    });
    await Promise.all(started.flatMap(({ servers }) => servers.map((server) => server.stop())));
  },
});
