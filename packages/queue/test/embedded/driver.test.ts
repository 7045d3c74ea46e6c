import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Queue } from "bullmq";
import { createSqliteBackend } from "@taskloom/bullmq-sqlite";
import { expect, test as base } from "vitest";
import type { NewJob } from "../../src/contract/lane-queue.ts";
import { anyBackend } from "../../src/bullmq/any-backend.ts";
import { SqliteDriver } from "../../src/engines/sqlite/sqlite-driver.ts";

/** A driver of a lane in a new file. */
const test = base.extend<{ driver: SqliteDriver }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
  driver: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), "taskloom-driver-"));
    const backend = createSqliteBackend("lane", { connection: { path: join(folder, "jobs.sqlite") } }, {});
    const queue = new Queue(
      "lane",
      { connection: {} },
      anyBackend(() => backend),
    );
    await queue.waitUntilReady();
    await use(new SqliteDriver(queue, backend));
    await queue.close();
    await rm(folder, { recursive: true, force: true });
  },
});

const jobOf = (opts: NewJob["opts"]): NewJob => ({ name: "job", data: {} as NewJob["data"], opts });
const claim = { count: 10, token: "a", lockDuration: 30_000, workerName: undefined };

test("a job that is refused is refused alone, with BullMQ's error", async ({ driver }) => {
  const added = await driver.add([
    jobOf({ jobId: "one" }),
    jobOf({ jobId: "child", parent: { id: "none", queue: "lane" } }),
    jobOf({ jobId: "three" }),
  ]);
  expect(added[0]).toBe("one");
  expect(added[1]).toMatchObject({ code: -5 });
  expect(added[2]).toBe("three");
  const { jobs } = await driver.turn([], claim);
  expect(jobs.map(({ id }) => id)).toEqual(["one", "three"]);
});

test("a claim takes a waiting worker's job alone, and then as many as there are", async ({ driver }) => {
  const { backend } = driver;
  expect(driver.claimLimit).toBeGreaterThan(1);
  const wait = backend.waitForJob(60);
  await driver.add(["one", "two", "three"].map((jobId) => jobOf({ jobId })));
  await wait;
  expect(driver.claimLimit).toBe(1);
  const first = await driver.turn([], { ...claim, count: 1 });
  expect(first.jobs.map(({ id }) => id)).toEqual(["one"]);
  const second = await driver.turn([], claim);
  expect(second.jobs.map(({ id }) => id)).toEqual(["two", "three"]);
});

test("a turn of more ends than one operation takes refuses each end alone, and claims at its end", async ({
  driver,
}) => {
  const ids = Array.from({ length: 700 }, (_, index) => `job-${index}`);
  await driver.add(ids.map((jobId) => jobOf({ jobId })));
  await driver.turn([], { ...claim, count: 600 });
  const ends = ids.slice(0, 600).map((id, index) => ({
    id,
    token: index === 300 ? "other" : "a",
    outcome: "completed" as const,
    text: "1",
    stacktrace: undefined,
    finishedOn: Date.now(),
    keep: { count: 0 },
    opts: {},
  }));
  const { refusals, jobs } = await driver.turn(ends, claim);
  expect(refusals).toHaveLength(600);
  expect(refusals.flatMap((error, index) => (error === undefined ? [] : [index]))).toEqual([300]);
  expect(jobs.map(({ id }) => id)).toEqual(ids.slice(600, 610));
});
