import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { createSqliteBackend } from "@taskloom/bullmq-sqlite";
import type { SqliteQueueBackend } from "@taskloom/bullmq-sqlite";
import { expect, test as base } from "vitest";

/** Opens backends of one queue in one file; all of them are closed after the test. */
const test = base.extend<{ open: () => Promise<SqliteQueueBackend> }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
  open: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), "bullmq-sqlite-"));
    const backends: SqliteQueueBackend[] = [];
    await use(async () => {
      const path = join(folder, "jobs.sqlite");
      const backend = createSqliteBackend("claims", { connection: { path } }, {});
      backends.push(backend);
      await backend.waitUntilReady();
      return backend;
    });
    await Promise.all(backends.map((backend) => backend.close()));
    await rm(folder, { recursive: true, force: true });
  },
});

const job = { name: "job", data: "{}", opts: {} } as never;

/** Returns the id of the job that a claim has received, undefined for none. */
const idOf = (claimed: unknown[]): unknown => (claimed[0] === null ? undefined : claimed[1]);

test("a worker that waits has the job by the end of its wait, under the token of its claim", async ({
  open,
}) => {
  const [queue, worker] = [await open(), await open()];
  const wait = worker.waitForJob(60);
  await queue.addJob(job, "one");
  expect(await wait).toMatchObject({ score: 0 });
  expect(await queue.getState("one")).toBe("active");
  expect(idOf(await worker.moveToActive("token"))).toBe("one");
  expect(await queue.extendLock("one", "another", 1_000)).toBe(0);
  expect(await worker.extendLock("one", "token", 1_000)).toBe(1);
});

test("one job wakes one of the workers that wait", async ({ open }) => {
  const queue = await open();
  const workers = await Promise.all([open(), open()]);
  const woken: number[] = [];
  const waits = workers.map(async (worker, index) => {
    if ((await worker.waitForJob(60)) !== null) woken.push(index);
  });
  await queue.addJob(job, "one");
  await Promise.race(waits);
  await queue.getState("one");
  await setImmediate();
  expect(woken).toHaveLength(1);
  await Promise.all(workers.map((worker) => worker.disconnectBlocking()));
  await Promise.all(waits);
});

test("a job that was claimed for a worker that closes waits again, as if it had never been claimed", async ({
  open,
}) => {
  const [queue, closing, next] = [await open(), await open(), await open()];
  const wait = closing.waitForJob(60);
  await queue.addJob(job, "one");
  await wait;
  await closing.close();
  expect(await queue.getState("one")).toBe("waiting");
  const [claimed] = (await next.moveToActive("token")) as [{ attemptsStarted: number }];
  expect(claimed.attemptsStarted).toBe(1);
});

test("a wait that is interrupted ends, and a later wait has the next job", async ({ open }) => {
  const [queue, worker] = [await open(), await open()];
  const wait = worker.waitForJob(60);
  await worker.disconnectBlocking();
  expect(await wait).toBeNull();
  await worker.reconnectBlocking();
  const later = worker.waitForJob(60);
  await queue.addJob(job, "one");
  expect(await later).not.toBeNull();
  expect(idOf(await worker.moveToActive("token"))).toBe("one");
});

test("a worker waits while a queue runs as many jobs as its concurrency allows", async ({ open }) => {
  const [queue, busy, idle] = [await open(), await open(), await open()];
  await queue.setQueueMeta({ concurrency: 1 });
  await queue.addJob(job, "one");
  await queue.addJob(job, "two");
  expect(idOf(await busy.moveToActive("busy"))).toBe("one");
  let hasEnded = false;
  const wait = idle.waitForJob(60).finally(() => (hasEnded = true));
  await queue.getState("two"); // The wait has reached the database thread by the time of this answer.
  await setImmediate();
  expect(hasEnded).toBe(false);
  await busy.moveToCompleted({ id: "one" } as never, "result", false, "busy", false);
  expect(await wait).not.toBeNull();
  expect(idOf(await idle.moveToActive("idle"))).toBe("two");
});

test("a worker waits on an empty queue with a rate limit, and a reached limit ends the wait", async ({
  open,
}) => {
  const [queue, worker] = [await open(), await open()];
  await queue.setQueueMeta({ max: 1, duration: 60_000 });
  let hasEnded = false;
  const wait = worker.waitForJob(60).finally(() => (hasEnded = true));
  await queue.getState("one"); // The wait has reached the database thread by the time of this answer.
  await setImmediate();
  expect(hasEnded).toBe(false);
  await queue.addJob(job, "one");
  expect(await wait).not.toBeNull();
  expect(idOf(await worker.moveToActive("token"))).toBe("one");
  expect(await worker.waitForJob(60)).not.toBeNull();
  const [, , limitedFor] = (await worker.moveToActive("token")) as unknown[];
  expect(limitedFor).toBeGreaterThan(0);
});

test("a delayed job that is added during a wait shortens the wait", async ({ open }) => {
  const [queue, worker] = [await open(), await open()];
  const wait = worker.waitForJob(60);
  await queue.addJob({ name: "job", data: "{}", opts: { delay: 300 }, delay: 300 } as never, "one");
  expect(await wait).toBeNull();
  expect(idOf(await worker.moveToActive("token"))).toBe("one");
});
