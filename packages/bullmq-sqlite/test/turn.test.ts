import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSqliteBackend } from "@taskloom/bullmq-sqlite";
import type { SqliteQueueBackend } from "@taskloom/bullmq-sqlite";
import { expect, test as base } from "vitest";

/** Operations that are called without a pause between them travel to the database in one turn. */
const test = base.extend<{ backend: SqliteQueueBackend }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
  backend: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), "bullmq-sqlite-"));
    const backend = createSqliteBackend("turn", { connection: { path: join(folder, "jobs.sqlite") } }, {});
    await backend.waitUntilReady();
    await use(backend);
    await backend.close();
    await rm(folder, { recursive: true, force: true });
  },
});

const job = { name: "job", data: "{}", opts: {} } as never;

test("the code that added a job goes on before the job, even if one turn adds and claims it", async ({
  backend,
}) => {
  const order: string[] = [];
  const adds = async (): Promise<void> => {
    await backend.addJob(job, "one");
    // As many steps as may lie between the backend and a user's code.
    for (let step = 0; step < 50; step++) await Promise.resolve();
    order.push("added");
  };
  const claims = async (): Promise<void> => {
    const [, id] = await backend.moveToActive("token");
    order.push(`claimed ${id}`);
  };
  await Promise.all([adds(), claims()]);
  expect(order).toEqual(["added", "claimed one"]);
});
