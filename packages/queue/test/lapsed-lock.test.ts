import { openEngine } from "@taskloom/queue";
import type { Job } from "bullmq";
import { expect } from "vitest";
import { redisTest as test } from "../../../test/support/redis.ts";

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
    const job = (await manual.getNextJob(`token:${age}`)) as Job;
    // As if the process had been stopped for so long since it fetched the job.
    job.processedOn = Date.now() - age;
    await manual.processJob(job, `token:${age}`);
  }
  expect(started).toEqual(["held"]);
  await worker.close(true);
  await queue.close();
  await engine.close();
});
