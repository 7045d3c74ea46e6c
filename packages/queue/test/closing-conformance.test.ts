import { randomUUID } from "node:crypto";
import { getRunningLoop, run, sleep } from "@taskloom/loop";
import { QueueClosedError, TaskQueue, call, defineTask } from "@taskloom/queue";
import type { TaskOptions } from "@taskloom/queue";
import { describe, expect, test as plain } from "vitest";
import { ownRedisTest } from "../../../test/support/redis.ts";
import { stores } from "./engines.ts";

const never = defineTask({ name: "closing.never" }, async (n: number) => n);
/** A schema that takes some time. */
const slowly: TaskOptions<[]>["args"] = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate: async () => {
      await sleep(50);
      return { value: [] };
    },
  },
};
const checked = defineTask({ name: "closing.checked", args: slowly }, async () => {});

describe.each(stores)("on $name", ({ test }) => {
  test("a submission that nobody waits for is no lost exception when its queue is closed", async ({
    engine,
  }) => {
    const reports: string[] = [];
    const name = `test-${randomUUID().slice(0, 8)}`;
    await run(async () => {
      getRunningLoop().setExceptionHandler((_, { message, exception }) => {
        reports.push(`${message}: ${(exception as Error).message}`);
      });
      const queue = new TaskQueue({ engine, name });
      await queue.submit(never, 1).sent();
      queue.submit(never, 2);
      queue.submit(checked);
      const awaited = queue.submit(never, 3);
      const caught = Promise.resolve(awaited).then(
        () => undefined,
        (error: unknown) => error,
      );
      await queue.close();
      expect(await caught).toBeInstanceOf(QueueClosedError);
      // A task that is first awaited later has its error, too.
      await expect(awaited).rejects.toThrow(QueueClosedError);
      await sleep(100);
    });
    expect(reports).toEqual([]);
  });

  test("a queue that closes has stored the jobs that were submitted before", async ({ engine }) => {
    const name = `test-${randomUUID().slice(0, 8)}`;
    await using reader = new TaskQueue({ engine, name });
    await reader.connect();
    const queue = new TaskQueue({ engine, name });
    for (let n = 0; n < 1_000; n++) queue.submit(never, n);
    queue.submit(checked);
    queue.flow(call(never, 1), [call(never, 2)]);
    await queue.close();
    expect((await reader.counts()).waiting).toBe(1_003); // 1,000 and one, and a parent with its child
  });

  test("a submission that was refused is still reported if nobody reads its error", async ({ engine }) => {
    const reports: string[] = [];
    await run(async () => {
      getRunningLoop().setExceptionHandler((_, { message }) => void reports.push(message));
      await using queue = new TaskQueue({ engine, name: "test-refused" });
      queue.with({ limitKey: "x" }).submit(never, 1);
      await sleep(1);
    });
    expect(reports).toEqual(["RemoteTask exception was never retrieved"]);
  });
});

plain("a queue that closes while its engine is away says that the job was not stored", async () => {
  const queue = new TaskQueue({ engine: "redis://127.0.0.1:1", name: "away" });
  const job = queue.submit(never, 1);
  await queue.close();
  await expect(job).rejects.toThrow("redis://127.0.0.1:1");
});

ownRedisTest(
  "a job that a killed Redis has not confirmed is reported, and the queue closes soon",
  async ({ redis }) => {
    const reports: unknown[] = [];
    await run(async () => {
      getRunningLoop().setExceptionHandler((_, { exception }) => void reports.push(exception));
      const queue = new TaskQueue({ engine: redis.url, name: "killed" });
      await queue.submit(never, 1).sent();
      await redis.kill();
      queue.submit(never, 2);
      const from = performance.now();
      await queue.close();
      expect(performance.now() - from).toBeLessThan(10_000);
      await sleep(50);
    });
    expect(reports).toEqual([
      expect.objectContaining({
        code: "QUEUE_CLOSED",
        message: expect.stringContaining("may not be stored"),
      }),
    ]);
  },
);
