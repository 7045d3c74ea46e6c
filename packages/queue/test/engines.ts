import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEngine } from "@taskloom/queue";
import { type TestAPI, test } from "vitest";
import { postgresTest } from "../../../test/support/postgres.ts";
import { redisClusterTest } from "../../../test/support/redis-cluster.ts";
import { redisTest } from "../../../test/support/redis.ts";

/** A test with the URL of an engine of its file's own. */
export type EngineTest = TestAPI<{ engine: string }>;

const embeddedTest = test.extend<{ $file: { embedded: string }; $test: { engine: string } }>({
  embedded: [
    // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
    async ({}, use) => {
      const folder = await mkdtemp(join(tmpdir(), "taskloom-embedded-"));
      // Everything in a process shares the database of a folder. Held open here, it is not started anew for each test.
      const engine = openEngine(`embedded:${folder}`);
      await engine.connect();
      await use(`embedded:${folder}`);
      await engine.close();
      await rm(folder, { recursive: true, force: true });
    },
    { scope: "file" },
  ],
  engine: async ({ embedded }, use) => await use(embedded),
});

/** Every engine that the conformance suite runs on. */
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
  { name: "embedded", test: embeddedTest },
  {
    name: "memory",
    test: test.extend<{ engine: string }>({
      // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
      engine: async ({}, use) => await use("memory:"),
    }),
  },
];
