import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "vitest";

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

/** A `redis-server` that a test can start, kill and restart, on a free port of the loopback address. */
export class PrivateRedis implements TestRedis {
  readonly url: string;
  readonly #port: number;
  readonly #folder: string;
  readonly #settings: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(port: number, folder: string, settings: readonly string[]) {
    this.url = `redis://127.0.0.1:${port}`;
    this.#port = port;
    this.#folder = folder;
    this.#settings = settings;
  }

  /**
   * Throws if there is no `redis-server` on the PATH. With `appendonly`, acknowledged writes survive a kill;
   * with `cluster`, the server is a node of a cluster.
   */
  static async start({
    appendonly = false,
    cluster = false,
    port,
  }: {
    readonly appendonly?: boolean;
    readonly cluster?: boolean;
    readonly port?: number;
  } = {}): Promise<PrivateRedis> {
    const folder = await mkdtemp(join(tmpdir(), "taskloom-redis-"));
    const settings = appendonly ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"];
    // The default port between nodes is 10,000 higher, which may not be a valid port.
    if (cluster) settings.push("--cluster-enabled", "yes", "--cluster-port", String(await freePort()));
    const redis = new PrivateRedis(port ?? (await freePort()), folder, settings);
    await redis.restart();
    return redis;
  }

  /** Starts the server again on the same port and data. */
  async restart(): Promise<void> {
    const child = spawn(
      "redis-server",
      ["--port", String(this.#port), "--bind", "127.0.0.1", "--dir", this.#folder, "--save", ""].concat(
        this.#settings,
      ),
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    this.#process = child;
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`redis-server ended with ${code}`)));
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        if (text.includes("Ready to accept connections")) resolve();
      });
    });
    child.removeAllListeners("exit");
  }

  /** Ends the server as `kill -9` does, and waits for its end. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Returns a free port of the loopback address. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
