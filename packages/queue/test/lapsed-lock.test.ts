import { TaskQueue, TaskWorker, defineTask, openEngine } from "@taskloom/queue";
import type { Engine } from "@taskloom/queue";
import type { IQueueBackend, Job, Worker } from "bullmq";
import { Redis } from "ioredis";
import { expect, test as plainTest, vi } from "vitest";
import { redisTest as test } from "../../../test/support/redis.ts";
import { newestOfEach } from "../src/bullmq/lock-table.ts";
import { LockRenewal } from "../src/bullmq/lock-renewal.ts";

/** What of BullMQ's worker the test calls by hand. */
interface ManualWorker {
  getNextJob(token: string): Promise<Job | undefined>;
  processJob(job: Job, token: string): Promise<unknown>;
}

test("a fetched job whose lock has lapsed before it starts is left to others", async ({ redis }) => {
  const engine = openEngine(redis.url);
  await engine.connect();
  const queue = engine.openQueue("lapsed.loop");
  const started: string[] = [];
  const lockDuration = 1_000;
  const worker = engine.openWorker(
    "lapsed.loop",
    async (job) => {
      started.push(job.name);
    },
    { autorun: false, lockDuration },
  );
  const manual = worker as unknown as ManualWorker;
  await queue.add("lapsed", {});
  await queue.add("held", {});
  for (const age of [lockDuration, 0]) {
    const job = (await manual.getNextJob(`token:${age}`))!;
    // As if the process had been stopped for so long since it fetched the job.
    job.processedOn = Date.now() - age;
    await manual.processJob(job, `token:${age}`);
  }
  expect(started).toEqual(["held"]);
  await worker.close(true);
  await queue.close();
  await engine.close();
});

/** An engine whose jobs look as if their process had been stopped for longer than a lock before they start. */
function afterStop(url: string, before: (job: Job) => Promise<void>): Engine {
  const engine = openEngine(url);
  const openWorker = engine.openWorker.bind(engine);
  engine.openWorker = (name, processor, options) =>
    openWorker(
      name,
      async (job, ...rest) => {
        await before(job as Job);
        job.processedOn = Date.now() - engine.locks.duration;
        return await processor(job, ...rest);
      },
      options,
    );
  return engine;
}

test("a job that was taken before a long stop starts only if it still has its lock", async ({ redis }) => {
  const started: string[] = [];
  const task = defineTask({ name: "test.stopped" }, async (key: string) => void started.push(key));
  const taken: string[] = [];
  const admin = new Redis(redis.url);
  const engine = afterStop(redis.url, async (job) => {
    const [key] = job.data.args as string[];
    taken.push(key!);
    // Another worker has taken the job over: the lock is that worker's.
    if (key === "lost") await admin.set(bull.toKey(`${job.id}:lock`), "other");
  });
  const bull = engine.openQueue("stopped.loop");
  const queue = new TaskQueue({ engine, name: "stopped" });
  const running = new TaskWorker({ engine, queues: ["stopped"], tasks: [task], threads: 1 }).run();
  const lost = queue.submit(task, "lost");
  lost.catch(() => {}); // It never ends here: nobody else runs it.
  await queue.submit(task, "held");
  await expect.poll(() => taken, { timeout: 30_000 }).toEqual(expect.arrayContaining(["lost", "held"]));
  expect(started).toEqual(["held"]);
  running.cancel();
  await running.catch(() => {});
  await queue.close();
  await bull.close();
  admin.disconnect();
  await engine.close();
});

test("an end whose answer is lost is not repeated on the job's next attempt", async ({ redis }) => {
  const engine = openEngine(redis.url);
  await engine.connect();
  const queue = engine.openQueue("repeated.loop");
  const worker = engine.openWorker(
    "repeated.loop",
    async () => {
      throw new Error("the first attempt fails");
    },
    { autorun: false, lockDuration: 60_000 },
  );
  const manual = worker as unknown as ManualWorker & { readonly backend: IQueueBackend };
  const { backend } = manual;
  const retryJob = backend.retryJob.bind(backend);
  let tries = 0;
  backend.retryJob = async (...args) => {
    await retryJob(...args);
    if (++tries > 1) return;
    // The end is stored, this worker takes the next attempt under the same token, and only then the answer is lost.
    await manual.getNextJob("token:1");
    throw Object.assign(new Error("the connection was cut"), { code: "ECONNRESET" });
  };
  const { id } = await queue.add("retried", {}, { attempts: 3 });
  const job = (await manual.getNextJob("token:1"))!;
  await manual.processJob(job, "token:1");
  expect(tries).toBe(1);
  expect(await queue.getJobState(id!)).toBe("active");
  expect(await queue.getJob(id!)).toMatchObject({ attemptsMade: 1, attemptsStarted: 2 });
  await worker.close(true);
  await queue.close();
  await engine.close();
});

plainTest("a lost lock is news of one run, not of the next attempt with the same token", async () => {
  const renewal = new LockRenewal({
    address: undefined,
    queues: ["queue"],
    slots: 4,
    duration: 8_000,
    interval: 500,
    stallLimit: 60_000,
    onStall: () => {},
  });
  const emit = vi.fn<(event: string, ids: string[]) => boolean>(() => true);
  const worker = { name: "queue", id: "worker", opts: {}, emit } as unknown as Worker;
  const manager = renewal.managerFor(worker);
  const first = manager.hold("job", "worker:1", "task")!;
  const before = renewal.table.sequenceOf(first);
  manager.release(first);
  const second = manager.hold("job", "worker:1", "task")!;
  manager.lost("job", before);
  expect(emit).not.toHaveBeenCalled();
  manager.lost("job", renewal.table.sequenceOf(second));
  expect(emit).toHaveBeenCalledWith("lockRenewalFailed", ["job"]);
  emit.mockClear();
  // The next attempt has begun while the end of this one is still being stored: its lock is free, and the other is held.
  const third = manager.hold("job", "worker:2", "task")!;
  expect(newestOfEach(renewal.table.entries()).map(({ token }) => token)).toEqual(["worker:2"]);
  manager.lost("job", renewal.table.sequenceOf(second));
  expect(emit).not.toHaveBeenCalled();
  manager.lost("job", renewal.table.sequenceOf(third));
  expect(emit).toHaveBeenCalledWith("lockRenewalFailed", ["job"]);
  await renewal.close();
});
