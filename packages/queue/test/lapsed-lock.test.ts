import { TaskQueue, TaskWorker, defineTask, openEngine } from "@taskloom/queue";
import type { Engine } from "@taskloom/queue";
import type { Job, JobJson } from "bullmq";
import { Redis } from "ioredis";
import { expect, test as plainTest } from "vitest";
import { redisTest as test } from "../../../test/support/redis.ts";
import { BackendDriver } from "../src/consumer/backend-driver.ts";
import { LaneConsumer } from "../src/consumer/lane-consumer.ts";
import type { LaneProcessor } from "../src/contract/engine-worker.ts";
import { redisTransient } from "../src/engines/redis/redis-transient.ts";
import { newestOfEach } from "../src/locks/lock-table.ts";
import { LockRenewal } from "../src/locks/lock-renewal.ts";

/** Opens a consumer of its own on Redis, which sees the jobs of a claim as `change` returns them. */
function openConsumer(
  url: string,
  processor: LaneProcessor,
  change: (record: JobJson) => JobJson = (record) => record,
): LaneConsumer {
  return new LaneConsumer("lapsed.loop", processor, {
    connection: { url, maxRetriesPerRequest: null },
    prefix: "taskloom",
    concurrency: 2,
    lockDuration: LOCK_MS,
    transient: redisTransient,
    turns: (backend) => {
      const driver = new BackendDriver(backend);
      return {
        turn: async (...args) => {
          const answer = await driver.turn(...args);
          return { ...answer, jobs: answer.jobs.map(({ id, record }) => ({ id, record: change(record) })) };
        },
        claimLimit: 1,
      };
    },
  });
}

const LOCK_MS = 60_000;

test("a fetched job whose lock has lapsed before it starts is left to others", async ({ redis }) => {
  const engine = openEngine(redis.url);
  await engine.connect();
  const queue = engine.openQueue("lapsed.loop");
  await queue.add("lapsed", {});
  await queue.add("held", {});
  const started: string[] = [];
  const ended = Promise.withResolvers<void>();
  // As if the process had been stopped for so long since it took the job.
  const stopped = (record: JobJson): JobJson =>
    record.name === "lapsed" ? { ...record, processedOn: Date.now() - LOCK_MS } : record;
  const consumer = openConsumer(redis.url, async (job) => void started.push(job.name), stopped);
  consumer.on("completed", () => ended.resolve());
  await consumer.run();
  await ended.promise;
  expect(started).toEqual(["held"]);
  await consumer.close();
  expect(await queue.getJobCounts("active", "completed")).toEqual({ active: 1, completed: 1 });
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
  const queue = engine.openQueue("lapsed.loop");
  const attempts: { made: number; started: number }[] = [];
  const second = Promise.withResolvers<void>();
  const consumer = openConsumer(redis.url, async ({ attemptsMade, attemptsStarted }) => {
    attempts.push({ made: attemptsMade, started: attemptsStarted });
    if (attempts.length === 1) throw new Error("the first attempt fails");
    second.resolve();
  });
  const failed: number[] = [];
  consumer.on("failed", ({ attemptsMade }) => failed.push(attemptsMade));
  const { backend } = consumer;
  const retryJob = backend.retryJob.bind(backend);
  let tries = 0;
  backend.retryJob = async (...args) => {
    tries++;
    await retryJob(...args);
    // The end is stored, this worker takes the next attempt, and only then the answer is lost.
    await second.promise;
    throw Object.assign(new Error("the connection was cut"), { code: "ECONNRESET" });
  };
  const { id } = await queue.add("retried", {}, { attempts: 3 });
  await consumer.run();
  await expect.poll(() => failed).toEqual([1]);
  expect(tries).toBe(1);
  await expect.poll(() => queue.getJobState(id!)).toBe("completed");
  expect(attempts).toEqual([
    { made: 0, started: 1 },
    { made: 1, started: 2 },
  ]);
  await consumer.close();
  await queue.close();
  await engine.close();
});

plainTest("a lost lock is news of one run, not of the job's next attempt", async () => {
  const renewal = new LockRenewal({
    address: undefined,
    queues: ["queue", "other"],
    slots: 4,
    duration: 8_000,
    interval: 500,
    stallLimit: 60_000,
    onStall: () => {},
  });
  const lost: string[] = [];
  const locks = renewal.locksOf({
    name: "queue",
    lockDuration: 8_000,
    extend: async () => [],
    onLost: (id) => lost.push(id),
  });
  const first = locks.hold("job", "worker:1", "task");
  const before = first.sequence!;
  locks.release(first);
  const second = locks.hold("job", "worker:1", "task");
  locks.lost("job", before);
  expect(lost).toEqual([]);
  locks.lost("job", second.sequence!);
  expect(lost).toEqual(["job"]);
  // The next attempt has begun while the end of this one is still being stored: its lock is free, and the other is held.
  const third = locks.hold("job", "worker:2", "task");
  expect(newestOfEach(renewal.table.entries()).map(({ token }) => token)).toEqual(["worker:2"]);
  // Another queue can have a job of the same id, such as the run of a schedule: it is another job, whose lock is renewed, too.
  const others = renewal.locksOf({
    name: "other",
    lockDuration: 8_000,
    extend: async () => [],
    onLost: () => {},
  });
  const elsewhere = others.hold("job", "worker:3", "task");
  const tokens = newestOfEach(renewal.table.entries()).map(({ token }) => token);
  expect(tokens.toSorted()).toEqual(["worker:2", "worker:3"]);
  others.release(elsewhere);
  locks.lost("job", second.sequence!);
  expect(lost).toEqual(["job"]);
  locks.lost("job", third.sequence!);
  expect(lost).toEqual(["job", "job"]);
  await renewal.close();
});
