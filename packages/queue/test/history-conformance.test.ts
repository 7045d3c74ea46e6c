import { TaskQueue, TaskWorker, defineTask, openEngine } from "@taskloom/queue";
import { readActivity } from "@taskloom/queue/operating";
import { describe, expect } from "vitest";
import { HISTORY_LENGTHS, bucketOf } from "../src/contract/history.ts";
import { stores } from "./engines.ts";

const hour = 3_600_000;

/** Names of queues that no other test has: the history of an engine has no other key. */
const own = (name: string): string => `history-${name}-${Math.random().toString(36).slice(2)}`;

describe.each(stores)("on $name", ({ test }) => {
  test("the figures of several writers add up, and the greatest peak stays", async ({ engine: url }) => {
    await using engine = openEngine(url);
    await engine.connect();
    const [busy, odd] = [own("busy"), own("a:b é")];
    await engine.addHistory([
      { queue: busy, sums: { completed: 3, w4: 1 }, peaks: { waiting: 7 } },
      { queue: odd, sums: { failed: 1 }, peaks: {} },
    ]);
    await engine.addHistory([
      { queue: busy, sums: { completed: 2, failed: 1 }, peaks: { waiting: 5, active: 2 } },
    ]);
    const now = engine.now();
    for (const { length } of HISTORY_LENGTHS) {
      // The writes can fall into two buckets, so the sums are taken over both.
      const range = { length, from: bucketOf(now, length) - length, to: now };
      const buckets = await engine.readHistory(range);
      const sums = (queue: string): Record<string, number> => {
        const total: Record<string, number> = {};
        for (const each of buckets)
          if (each.queue === queue)
            for (const [name, value] of Object.entries(each.figures))
              total[name] = (total[name] ?? 0) + value;
        return total;
      };
      expect(sums(busy)).toMatchObject({ completed: 5, failed: 1, w4: 1, active: 2 });
      expect([7, 12]).toContain(sums(busy)["waiting"]);
      expect(sums(odd)).toEqual({ failed: 1 });
      expect(await engine.readHistory({ length, from: now + length, to: now + 2 * length })).toEqual([]);
    }
  });

  test("a worker that stops has written its jobs, and another engine reads them as activity", async ({
    engine: url,
  }) => {
    const name = own("worker");
    const work = defineTask({ name: "test.work" }, async (isFine: boolean) => {
      if (!isFine) throw new RangeError("no disk");
    });
    await using engine = openEngine(url);
    await engine.connect();
    const worker = new TaskWorker({ engine, queues: [name], tasks: [work], threads: 1 });
    worker.run().catch(() => {});
    await worker.ready();
    await using queue = new TaskQueue({ engine, name });
    await Promise.allSettled([true, true, false].map((isFine) => queue.submit(work, isFine)));
    await worker.stop();
    await using other = openEngine(url);
    const { length, from, to, points } = await readActivity(other, [name], { last: hour });
    expect([length, to - from]).toEqual([10_000, hour - 10_000]);
    const sum = (figure: "completed" | "failed"): number =>
      points.reduce((total, point) => total + point[figure], 0);
    expect([sum("completed"), sum("failed")]).toEqual([2, 1]);
    expect(points[0]).toMatchObject({ wait: { p50: expect.any(Number) }, run: { p95: expect.any(Number) } });
    await expect(readActivity(other, [name], { last: 1_000 * 24 * hour })).rejects.toMatchObject({
      code: "TASK_OPTIONS",
    });
  });
});
