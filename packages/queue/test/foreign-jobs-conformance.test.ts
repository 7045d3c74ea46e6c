import { openEngine } from "@taskloom/queue";
import type { Queue } from "bullmq";
import { describe, expect } from "vitest";
import { stores } from "./engines.ts";

describe.each(stores.filter(({ name }) => name !== "memory"))("on $name", ({ test }) => {
  test("a job that BullMQ removes at its end takes no other finished job with it", async ({
    engine: url,
  }) => {
    await using engine = openEngine(url);
    await engine.connect();
    const name = `foreign-${Math.random().toString(36).slice(2)}.loop`;
    const queue: Queue = engine.openQueue(name);
    const options = { lockDuration: 30_000, concurrency: 10 };
    const worker = engine.openWorker(
      name,
      async ({ name: kind }) => {
        if (kind === "fails") throw new Error("as expected");
        return kind;
      },
      options,
    );
    const ended: string[] = [];
    worker.on("completed", ({ id }) => ended.push(id!));
    worker.on("failed", (job) => ended.push(job!.id!));
    await worker.run();
    await queue.addBulk([
      { name: "ends", data: {}, opts: { jobId: "kept" } },
      { name: "fails", data: {}, opts: { jobId: "kept-failure" } },
    ]);
    await expect.poll(() => ended.toSorted()).toEqual(["kept", "kept-failure"]);
    await queue.addBulk([
      { name: "ends", data: {}, opts: { jobId: "removed", removeOnComplete: true } },
      { name: "fails", data: {}, opts: { jobId: "removed-failure", removeOnFail: true } },
    ]);
    await expect.poll(() => ended).toHaveLength(4);
    expect(await queue.getJobState("removed")).toBe("unknown");
    expect(await queue.getJobState("removed-failure")).toBe("unknown");
    expect(await queue.getJobCounts("completed", "failed", "active", "waiting")).toEqual({
      completed: 1,
      failed: 1,
      active: 0,
      waiting: 0,
    });
    await worker.close();
    await queue.close();
  });
});
