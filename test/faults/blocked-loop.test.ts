import { TaskQueue } from "@taskloom/queue";
import { expect } from "vitest";
import { faultTest, measured } from "./support/fault-test.ts";
import { blocking, marked } from "./support/tasks.ts";

faultTest(
  "a job that blocks its loop for three times the lock runs once, and is named",
  { timeout: 120_000 },
  async ({ redis, workers, ledger }) => {
    await using queue = new TaskQueue({ engine: redis.url });
    const { duration } = queue.engine.locks;
    const first = await workers.start({ concurrency: 1 });
    const task = queue.submit(blocking, "blocked", 3 * duration);
    await expect.poll(() => ledger.runs().size, { timeout: 20_000 }).toBe(1);
    const second = await workers.start();
    // The second worker is there, and would take the job if its lock lapsed.
    expect(await queue.submit(marked, "other", 1)).toContain("other");

    expect(await task).toBe("blocked");
    const runs = ledger.runs().get("blocked");
    expect(runs?.map(({ pid }) => pid)).toEqual([first.child.pid]);
    const [, seconds] = await first.printed(/stood still for ([\d.]+) s while it ran fault\.blocking/);
    expect(Number(seconds)).toBeGreaterThan((2.5 * duration) / 1_000);
    measured(`blocked ${3 * duration} ms at a lock of ${duration} ms: 1 run; reported as ${seconds} s`);
    expect(second.child.exitCode).toBeNull();
  },
);
