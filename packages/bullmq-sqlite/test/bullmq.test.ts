import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSqliteBackend } from "@taskloom/bullmq-sqlite";
import { FlowProducer, Queue, QueueEvents, Worker } from "bullmq";
import { expect, test as base } from "vitest";

const test = base.extend<{ path: string }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
  path: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), "bullmq-sqlite-"));
    await use(join(folder, "jobs.sqlite"));
    await rm(folder, { recursive: true, force: true });
  },
});

test("a job runs, its result and its events arrive", async ({ path }) => {
  const connection = { path };
  const queue = new Queue("paint", { connection }, createSqliteBackend);
  const events = new QueueEvents("paint", { connection }, createSqliteBackend);
  await events.waitUntilReady();
  const worker = new Worker(
    "paint",
    async (job) => `painted ${job.data.colour}`,
    { connection },
    createSqliteBackend,
  );
  const job = await queue.add("cars", { colour: "blue" });
  expect(await job.waitUntilFinished(events)).toBe("painted blue");
  expect(await queue.getJobCounts("completed", "waiting", "active")).toEqual({
    completed: 1,
    waiting: 0,
    active: 0,
  });
  await Promise.all([worker.close(), events.close(), queue.close()]);
});

test("2,000 jobs at concurrency 100 run once each, in order of addition", async ({ path }) => {
  const connection = { path };
  const queue = new Queue("many", { connection }, createSqliteBackend);
  const ran: number[] = [];
  const { promise: all, resolve } = Promise.withResolvers<void>();
  await queue.addBulk(Array.from({ length: 2_000 }, (_, n) => ({ name: "n", data: { n } })));
  const worker = new Worker(
    "many",
    async (job) => {
      ran.push(job.data.n);
      if (ran.length === 2_000) resolve();
    },
    { connection, concurrency: 100 },
    createSqliteBackend,
  );
  await all;
  expect(ran).toEqual(Array.from({ length: 2_000 }, (_, n) => n));
  await worker.close();
  await queue.close();
});

test("delays, priorities, retries and failures", async ({ path }) => {
  const connection = { path };
  const queue = new Queue("mixed", { connection }, createSqliteBackend);
  const events = new QueueEvents("mixed", { connection }, createSqliteBackend);
  await events.waitUntilReady();
  const order: string[] = [];
  const late = await queue.add("late", {}, { delay: 600_000 });
  const low = await queue.add("low", {}, { priority: 9 });
  await queue.add("high", {}, { priority: 1 });
  await queue.add("plain", {});
  const stumbles = await queue.add("stumbles", {}, { attempts: 2 });
  const fails = await queue.add("fails", {});
  const worker = new Worker(
    "mixed",
    async (job) => {
      order.push(job.name);
      if (job.name === "fails" || (job.name === "stumbles" && job.attemptsMade === 0)) throw new Error("no");
      return job.name;
    },
    { connection },
    createSqliteBackend,
  );
  await expect(fails.waitUntilFinished(events)).rejects.toThrow("no");
  expect(await stumbles.waitUntilFinished(events)).toBe("stumbles");
  expect(await low.waitUntilFinished(events)).toBe("low");
  await late.promote();
  expect(await late.waitUntilFinished(events)).toBe("late");
  expect(order).toEqual(["plain", "stumbles", "fails", "stumbles", "high", "low", "late"]);
  await Promise.all([worker.close(), events.close(), queue.close()]);
});

test("a flow's parent runs after its children, with their values", async ({ path }) => {
  const connection = { path };
  const flows = new FlowProducer({ connection }, createSqliteBackend);
  const events = new QueueEvents("parents", { connection }, createSqliteBackend);
  await events.waitUntilReady();
  const child = new Worker("children", async (job) => job.data.n * 10, { connection }, createSqliteBackend);
  const parent = new Worker(
    "parents",
    async (job) => Object.values(await job.getChildrenValues<number>()).toSorted((a, b) => a - b),
    { connection },
    createSqliteBackend,
  );
  const { job } = await flows.add({
    name: "sum",
    queueName: "parents",
    children: [
      { name: "n", queueName: "children", data: { n: 1 } },
      { name: "n", queueName: "children", data: { n: 2 } },
    ],
  });
  expect(await job.waitUntilFinished(events)).toEqual([10, 20]);
  await Promise.all([child.close(), parent.close(), events.close(), flows.close()]);
});

test("what was added survives closing the file", async ({ path }) => {
  const connection = { path };
  const first = new Queue("kept", { connection }, createSqliteBackend);
  await first.add("job", { n: 1 });
  await first.upsertJobScheduler("often", { every: 1_000 }, { name: "tick" });
  await first.close();
  const second = new Queue("kept", { connection }, createSqliteBackend);
  expect(await second.getJobCounts("waiting", "delayed")).toMatchObject({ waiting: 2 });
  expect((await second.getJobSchedulers()).map(({ key }) => key)).toEqual(["often"]);
  await second.close();
});
