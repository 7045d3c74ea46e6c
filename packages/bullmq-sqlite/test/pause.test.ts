import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSqliteBackend } from "@taskloom/bullmq-sqlite";
import { Queue } from "bullmq";
import { expect, test as base } from "vitest";

const test = base.extend<{ path: string }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
  path: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), "bullmq-sqlite-"));
    await use(join(folder, "jobs.sqlite"));
    await rm(folder, { recursive: true, force: true });
  },
});

test("jobs of a paused queue count as waiting, as they do on Redis", async ({ path }) => {
  const queue = new Queue("halted", { connection: { path } }, createSqliteBackend);
  const before = await queue.add("before", {});
  await queue.pause();
  await queue.add("during", {});
  const delayed = await queue.add("delayed", {}, { delay: 600_000 });
  await delayed.promote();
  expect(await queue.getJobCounts("waiting", "wait", "delayed")).toEqual({ waiting: 3, wait: 3, delayed: 0 });
  expect(await queue.count()).toBe(3);
  expect(await before.isWaiting()).toBe(true);
  expect((await queue.getWaiting()).map(({ name }) => name)).toEqual(["before", "during", "delayed"]);
  await queue.close();
});
