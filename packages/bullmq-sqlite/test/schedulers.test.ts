import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSqliteBackend } from "@taskloom/bullmq-sqlite";
import { Queue, QueueEvents, Worker } from "bullmq";
import { afterEach, expect, test as base, vi } from "vitest";

const minute = 60_000;
const hour = 60 * minute;

type SqliteQueue = ReturnType<typeof queueAt>;
type SqliteWorker = ReturnType<typeof workerAt>;

function queueAt(path: string) {
  return new Queue("ticks", { connection: { path } }, createSqliteBackend);
}

function workerAt(path: string) {
  return new Worker("ticks", null, { connection: { path } }, createSqliteBackend);
}

const test = base.extend<{ path: string; queue: SqliteQueue; worker: SqliteWorker }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
  path: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), "bullmq-sqlite-"));
    await use(join(folder, "jobs.sqlite"));
    await rm(folder, { recursive: true, force: true });
  },
  queue: async ({ path }, use) => {
    const queue = queueAt(path);
    await use(queue);
    await queue.close();
  },
  worker: async ({ path }, use) => {
    const worker = workerAt(path);
    await use(worker);
    await worker.close();
  },
});

/** Sets the clock, and nothing else: the timers of the database stay true. */
function setTime(time: number): void {
  vi.useFakeTimers({ toFake: ["Date"], now: time });
}

afterEach(() => {
  vi.useRealTimers();
});

test("a scheduler keeps its place within the interval when the interval changes", async ({
  queue,
  worker,
}) => {
  const start = Date.UTC(2026, 0, 1, 10, 0, 7);
  setTime(start);
  await queue.upsertJobScheduler("tick", { every: minute });
  await worker.getNextJob("token"); // It adds the next run.
  setTime(start + 1);
  await queue.upsertJobScheduler("tick", { every: 4 * minute });
  expect(await queue.getJobScheduler("tick")).toMatchObject({
    every: 4 * minute,
    offset: 7_000,
    next: start + 1,
  });
});

test("a scheduler with an offset that has missed runs goes on with the next one", async ({
  queue,
  worker,
}) => {
  const start = Date.UTC(2026, 0, 1, 10, 0);
  setTime(start);
  await queue.upsertJobScheduler("tick", { every: hour, offset: 30 * minute });
  expect(await queue.getJobScheduler("tick")).toMatchObject({ next: start + 30 * minute });
  // The worker comes three hours later, ten minutes past the hour.
  setTime(start + 3 * hour + 10 * minute);
  await worker.getNextJob("token");
  expect(await queue.getJobScheduler("tick")).toMatchObject({ next: start + 3 * hour + 30 * minute });
});

test("a scheduler passes over times that ended runs of its id have", async ({ queue, worker }) => {
  const start = Date.UTC(2026, 0, 1, 10, 0);
  const runs = 5;
  setTime(start);
  await queue.upsertJobScheduler("tick", { every: minute });
  for (let n = 0; n < runs; n++) {
    setTime(start + n * minute);
    const job = await worker.getNextJob("token");
    await job?.moveToCompleted(null, "token", false);
  }
  await queue.removeJobScheduler("tick");
  setTime(start);
  await queue.upsertJobScheduler("tick", { every: minute });
  expect(await queue.getJobScheduler("tick")).toMatchObject({ next: start + runs * minute });
});

test("the runs of a scheduler are announced as they are added", async ({ path, queue, worker }) => {
  const events = new QueueEvents("ticks", { connection: { path } }, createSqliteBackend);
  await events.waitUntilReady();
  const seen: string[] = [];
  const delayed = new Promise<void>((resolve) => {
    events.on("added", ({ jobId }) => seen.push(`added ${jobId}`));
    events.on("waiting", ({ jobId }) => seen.push(`waiting ${jobId}`));
    events.on("delayed", ({ jobId }) => {
      seen.push(`delayed ${jobId}`);
      resolve();
    });
  });
  const start = Date.UTC(2026, 0, 1, 10, 0);
  setTime(start);
  await queue.upsertJobScheduler("tick", { every: hour });
  await worker.getNextJob("token");
  await delayed;
  const [first, second] = [`repeat:tick:${start}`, `repeat:tick:${start + hour}`];
  expect(seen).toEqual([`added ${first}`, `waiting ${first}`, `added ${second}`, `delayed ${second}`]);
  await events.close();
});
