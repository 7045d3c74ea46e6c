import { TaskQueue } from "@taskloom/queue";
import { expect } from "vitest";
import { postgresTest } from "../support/postgres.ts";
import { Ledger } from "./support/ledger.ts";
import { Workers, blockedForLocks, measured, reportedStall } from "./support/fault-test.ts";
import { blocking, marked } from "./support/tasks.ts";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

postgresTest(
  "on PostgreSQL, too, a job that blocks its loop for longer than its lock runs once, and is named",
  { timeout: 120_000 },
  async ({ postgres }) => {
    const folder = await mkdtemp(join(tmpdir(), "taskloom-test-"));
    const ledger = new Ledger(join(folder, "ledger"));
    const workers = new Workers(() => postgres, ledger);
    try {
      await using queue = new TaskQueue({ engine: postgres });
      const { duration } = queue.engine.locks;
      const first = await workers.start({ concurrency: 1 });
      const block = Math.round(blockedForLocks * duration);
      const task = queue.submit(blocking, "blocked", block);
      await expect.poll(() => ledger.runs().size, { timeout: 20_000 }).toBe(1);
      await workers.start();
      expect(await queue.submit(marked, "other", 1)).toContain("other");
      expect(await task).toBe("blocked");
      expect(
        ledger
          .runs()
          .get("blocked")
          ?.map(({ pid }) => pid),
      ).toEqual([first.child.pid]);
      const milliseconds = await reportedStall(first, "fault.blocking");
      measured(
        `PostgreSQL: blocked ${block} ms at a lock of ${duration} ms: 1 run; reported as ${Math.round(milliseconds)} ms`,
      );
    } finally {
      await workers.stopAll();
      await rm(folder, { recursive: true, force: true });
    }
  },
);
