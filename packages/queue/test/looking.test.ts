import { TaskQueue, openEngine } from "@taskloom/queue";
import { Redis } from "ioredis";
import { expect, onTestFinished } from "vitest";
import { postgresTest, testPool } from "../../../test/support/postgres.ts";
import { redisTest } from "../../../test/support/redis.ts";

/** Looks at a queue in every way that needs no job. */
async function look(url: string): Promise<void> {
  const engine = openEngine(url);
  await engine.connect();
  const lane = engine.openQueue("nobody-uses-this.loop");
  await lane.waitUntilReady();
  await lane.getJobs(["waiting", "failed", "completed"], 0, 10);
  await lane.getJob("loop.none");
  await lane.isPaused();
  await lane.getJobSchedulers(0, 10);
  await lane.close();
  const queue = new TaskQueue({ engine, name: "nobody-uses-this" });
  await queue.counts();
  await queue.failed();
  await queue.schedules();
  await queue.close();
  await engine.close();
}

redisTest("looking at a queue creates no key in Redis", async ({ redis }) => {
  const admin = new Redis(redis.url);
  onTestFinished(async () => void (await admin.quit()));
  await look(redis.url);
  expect(await admin.keys("*nobody-uses-this*")).toEqual([]);
});

postgresTest("looking at a queue stores nothing in PostgreSQL", async ({ postgres }) => {
  const admin = testPool({ connectionString: postgres });
  onTestFinished(() => admin.end());
  await look(postgres);
  const { rows } = await admin.query("SELECT * FROM bullmq.meta WHERE queue LIKE 'nobody-uses-this%'");
  expect(rows).toEqual([]);
});
