import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openEngine } from "@taskloom/queue";
import { test } from "vitest";
import type { TestAPI } from "vitest";
import { postgresTest } from "../../../test/support/postgres.ts";
import { redisClusterTest } from "../../../test/support/redis-cluster.ts";
import { redisShardsTest } from "../../../test/support/redis-shards.ts";
import { redisTest } from "../../../test/support/redis.ts";

/** A test with the URL of an engine of its file's own. */
export type EngineTest = TestAPI<{ engine: string }>;

/** A folder of the embedded engine for the tests of a file, with so many other processes on it. */
const embeddedTest = (peers: number): EngineTest =>
  test.extend<{ $file: { embedded: string }; $test: { engine: string } }>({
    embedded: [
      // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
      async ({}, use) => {
        const folder = await mkdtemp(join(tmpdir(), "taskloom-embedded-"));
        // Everything in a process shares the database of a folder. Held open here, it is not started anew for each test.
        const engine = openEngine(`embedded:${folder}`);
        await engine.connect();
        const others = await Promise.all(Array.from({ length: peers }, () => startPeer(folder)));
        await use(`embedded:${folder}`);
        await Promise.all(others.map((stop) => stop()));
        await engine.close();
        await rm(folder, { recursive: true, force: true });
      },
      { scope: "file" },
    ],
    engine: async ({ embedded }, use) => await use(embedded),
  });

/** Starts a process that uses the folder's database all the time; resolves with a function that ends the process. */
async function startPeer(folder: string): Promise<() => Promise<void>> {
  const script = fileURLToPath(new URL("embedded/fixtures/peer.ts", import.meta.url));
  const child = spawn(
    process.execPath,
    ["--conditions=@taskloom/source", "--no-warnings", script, join(folder, "taskloom.sqlite")],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.stdout.once("data", () => resolve());
    child.once("exit", (code) => reject(new Error(`another process on ${folder} ended with ${code}`)));
  });
  return async () => {
    child.stdin.end();
    await ended;
  };
}

/** Every form of every engine. */
export const engines: readonly { readonly name: string; readonly test: EngineTest }[] = [
  {
    name: "redis",
    test: redisTest.extend<{ engine: string }>({
      engine: async ({ redis }, use) => await use(redis.url),
    }),
  },
  {
    name: "redis cluster",
    test: redisClusterTest.extend<{ engine: string }>({
      engine: async ({ cluster }, use) => await use(cluster.url),
    }),
  },
  {
    name: "postgres",
    test: postgresTest.extend<{ engine: string }>({
      engine: async ({ postgres }, use) => await use(postgres),
    }),
  },
  {
    name: "redis, two shards",
    test: redisShardsTest.extend<{ engine: string }>({
      engine: async ({ shards }, use) => await use(shards.url),
    }),
  },
  { name: "embedded", test: embeddedTest(0) },
  { name: "embedded, with two other processes", test: embeddedTest(2) },
  {
    name: "memory",
    test: test.extend<{ engine: string }>({
      // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
      engine: async ({}, use) => await use("memory:"),
    }),
  },
];

/** The forms of engines that another form shares its store with. */
const VARIANTS: ReadonlySet<string> = new Set([
  "redis cluster",
  "redis, two shards",
  "embedded, with two other processes",
]);

/**
 * One form of each engine, for suites of one part of the queue. The broad suites run on all forms, and `pnpm forms` runs every
 * suite on all of them.
 */
export const stores: typeof engines = engines.filter(
  ({ name }) => process.env["TASKLOOM_FORMS"] === "all" || !VARIANTS.has(name),
);

/**
 * The engines with one store. On shards an order holds for each shard alone, and BullMQ's own classes see the first shard;
 * shards/exceptions.test.ts has the tests of that.
 */
export const unsharded: typeof engines = stores.filter(({ name }) => !name.includes("shards"));

/** One form of each engine, and two shards: for suites of a part that works in its own way on shards. */
export const withShards: typeof engines = engines.filter(
  (engine) => stores.includes(engine) || engine.name === "redis, two shards",
);
