import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSqliteBackend } from "@taskloom/bullmq-sqlite";
import { FlowProducer, Queue, QueueEvents, Worker } from "bullmq";
import type { Job } from "bullmq";
import { expect, test as base } from "vitest";

type SqliteQueue = ReturnType<typeof queueAt>;

interface Queues {
  readonly path: string;
  readonly children: SqliteQueue;
  /** Adds a parent of one child, lets the child fail, and returns the parent. */
  failedChild(options: Record<string, unknown>): Promise<Job>;
}

function queueAt(path: string) {
  return new Queue("children", { connection: { path } }, createSqliteBackend);
}

/** Runs the next child, which fails. */
async function fail(path: string): Promise<void> {
  const worker = new Worker("children", null, { connection: { path } }, createSqliteBackend);
  const job = await worker.getNextJob("token");
  await job?.moveToFailed(new Error("no"), "token", false);
  await worker.close();
}

/** Listens for a job that waits again after it was in the state `before`; resolves with its id. */
async function announced(path: string, before: string): Promise<{ readonly id: Promise<string> }> {
  const events = new QueueEvents("children", { connection: { path } }, createSqliteBackend);
  await events.waitUntilReady();
  const seen = new Promise<string>((resolve) => {
    events.on("waiting", ({ jobId, prev }) => {
      if (prev === before) resolve(jobId);
    });
  });
  return { id: seen.finally(() => events.close()) };
}

const test = base.extend<{ queues: Queues }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
  queues: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), "bullmq-sqlite-"));
    const path = join(folder, "jobs.sqlite");
    const children = queueAt(path);
    const flows = new FlowProducer({ connection: { path } }, createSqliteBackend);
    await use({
      path,
      children,
      failedChild: async (options) => {
        const { job } = await flows.add({
          name: "parent",
          queueName: "parents",
          children: [{ name: "child", queueName: "children", opts: options }],
        });
        await fail(path);
        return job;
      },
    });
    await Promise.all([flows.close(), children.close()]);
    await rm(folder, { recursive: true, force: true });
  },
});

for (const option of [
  "failParentOnFailure",
  "ignoreDependencyOnFailure",
  "continueParentOnFailure",
] as const) {
  test(`a failed child with ${option} that is retried is awaited again`, async ({ queues }) => {
    const parent = await queues.failedChild({ [option]: true });
    expect(await parent.getDependenciesCount()).toMatchObject({ unprocessed: 0 });
    const [child] = await queues.children.getFailed();
    await child?.retry();
    expect(await parent.getDependenciesCount()).toEqual({
      failed: 0,
      ignored: 0,
      processed: 0,
      unprocessed: 1,
    });
  });

  test(`failed children with ${option} that are retried together are awaited again`, async ({ queues }) => {
    const parent = await queues.failedChild({ [option]: true });
    await queues.children.retryJobs();
    expect(await parent.getDependenciesCount()).toEqual({
      failed: 0,
      ignored: 0,
      processed: 0,
      unprocessed: 1,
    });
  });
}

test("jobs that are retried together keep their attempts and stack traces, and are announced", async ({
  queues,
}) => {
  const { path, children } = queues;
  const event = await announced(path, "failed");
  const job = await children.add("job", {});
  await fail(path);
  await children.retryJobs();
  expect(await event.id).toBe(job.id);
  const again = await children.getJob(job.id!);
  expect(again).toMatchObject({
    attemptsMade: 1,
    attemptsStarted: 1,
    stacktrace: [expect.stringContaining("no")],
  });
  expect(again?.failedReason).toBeUndefined();
});

test("delayed jobs that are promoted together are announced", async ({ queues }) => {
  const { path, children } = queues;
  const event = await announced(path, "delayed");
  const job = await children.add("job", {}, { delay: 600_000 });
  await children.promoteJobs();
  expect(await event.id).toBe(job.id);
});
