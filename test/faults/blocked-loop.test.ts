import { join } from "node:path";
import { TaskQueue, TaskWorker } from "@taskloom/queue";
import type { LoopStall } from "@taskloom/queue";
import { expect } from "vitest";
import { blockedForLocks, faultTest, measured, reportedStall } from "./support/fault-test.ts";
import { blocking, marked } from "./support/tasks.ts";

faultTest(
  "a job that blocks its loop for longer than its lock runs once, and is named",
  { timeout: 120_000 },
  async ({ redis, workers, ledger }) => {
    await using queue = new TaskQueue({ engine: redis.url });
    const { duration } = queue.engine.locks;
    const first = await workers.start({ concurrency: 1 });
    const block = Math.round(blockedForLocks * duration);
    const task = queue.submit(blocking, "blocked", block);
    await expect.poll(() => ledger.runs().size, { timeout: 20_000 }).toBe(1);
    const second = await workers.start();
    // The second worker would take the job if its lock lapsed.
    expect(await queue.submit(marked, "other", 1)).toContain("other");

    expect(await task).toBe("blocked");
    const runs = ledger.runs().get("blocked");
    expect(runs?.map(({ pid }) => pid)).toEqual([first.child.pid]);
    const milliseconds = await reportedStall(first, "fault.blocking");
    expect(milliseconds).toBeGreaterThan(0.8 * block);
    measured(
      `blocked ${block} ms at a lock of ${duration} ms: 1 run; reported as ${Math.round(milliseconds)} ms`,
    );
    expect(second.child.exitCode).toBeNull();
  },
);

faultTest(
  "the same on the embedded engine, where nobody else could run it: once, and it is named",
  { timeout: 120_000 },
  async ({ folder, ledger }) => {
    process.env["TASKLOOM_LEDGER"] = ledger.path;
    const stalls: LoopStall[] = [];
    await using queue = new TaskQueue({ engine: `embedded:${join(folder, "data")}` });
    const worker = new TaskWorker({
      engine: queue.engine,
      tasks: [blocking],
      onStall: (stall) => stalls.push(stall),
    });
    const running = worker.run();
    await worker.ready();
    // This is longer than the interval between two checks for jobs of dead workers.
    const block = queue.engine.locks.stalledInterval + 1_000;
    expect(await queue.submit(blocking, "blocked", block)).toBe("blocked");
    await expect
      .poll(() => stalls.flatMap(({ jobs }) => jobs), { timeout: 20_000 })
      .toMatchObject([{ name: "fault.blocking" }]);
    expect(stalls[0]?.duration).toBeGreaterThan(block / 2);
    expect(ledger.runs().get("blocked")).toHaveLength(1);
    running.cancel();
    await running.catch(() => {});
  },
);
