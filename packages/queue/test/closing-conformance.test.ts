import { randomUUID } from "node:crypto";
import { getRunningLoop, run, sleep } from "@taskloom/loop";
import { QueueClosedError, TaskQueue, defineTask } from "@taskloom/queue";
import type { TaskOptions } from "@taskloom/queue";
import { describe, expect } from "vitest";
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
