import { existsSync } from "node:fs";
import { test } from "vitest";
import { PrivateRedis } from "./private-redis.ts";

/** A Redis for a test. */
export interface TestRedis {
  readonly url: string;
  stop(): Promise<void>;
}

const missing =
  "no Redis: set TASKLOOM_TEST_REDIS_URL, start a Docker engine, or put redis-server on the PATH (Debian: apt-get install redis-server)";

/**
 * A test with a Redis for its file: the Redis of TASKLOOM_TEST_REDIS_URL, else a container if a Docker engine
 * answers, else a private `redis-server`. Without any of them the test is skipped, and the run says so at its
 * end.
 */
export const redisTest = test.extend<{
  $file: { redisServer: TestRedis | undefined };
  $test: { redis: TestRedis };
}>({
  redisServer: [
    // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
    async ({}, use) => {
      const redis = await findRedis();
      await use(redis);
      await redis?.stop();
    },
    { scope: "file" },
  ],
  redis: async ({ redisServer, skip }, use) => {
    if (redisServer === undefined) return skip(missing);
    await use(redisServer);
  },
});

/** A test with a `redis-server` of its own, which it may flush, reconfigure and kill; skipped without one. */
export const ownRedisTest = test.extend<{ redis: PrivateRedis }>({
  redis: async ({ skip }, use) => {
    const redis = await PrivateRedis.start().catch(() => undefined);
    if (redis === undefined)
      return skip(
        "no redis-server on the PATH (Debian: apt-get install redis-server): these tests need their own",
      );
    await use(redis);
    await redis.stop();
  },
});

async function findRedis(): Promise<TestRedis | undefined> {
  const url = process.env["TASKLOOM_TEST_REDIS_URL"];
  if (url !== undefined && url !== "") return { url, stop: async () => {} };
  return (await containerRedis()) ?? (await PrivateRedis.start().catch(() => undefined));
}

async function containerRedis(): Promise<TestRedis | undefined> {
  // Loading testcontainers takes a second, so the cheaper check for an engine comes first.
  if (process.env["DOCKER_HOST"] === undefined && !existsSync("/var/run/docker.sock")) return undefined;
  try {
    const { GenericContainer } = await import("testcontainers");
    const container = await new GenericContainer("redis:7").withExposedPorts(6379).start();
    return {
      url: `redis://${container.getHost()}:${container.getMappedPort(6379)}`,
      stop: async () => void (await container.stop()),
    };
  } catch {
    return undefined; // The socket exists, but no engine listens.
  }
}
