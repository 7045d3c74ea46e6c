import { TaskQueue } from "@taskloom/queue";
import { expect } from "vitest";
import { faultTest, measured } from "./support/fault-test.ts";
import { attempted, threaded } from "./support/tasks.ts";

faultTest(
  "SIGTERM under load, with a drain shorter than the jobs: another worker has them long before their locks lapse, and no attempt is spent",
  { timeout: 120_000 },
  async ({ redis, workers, ledger }) => {
    await using queue = new TaskQueue({ engine: redis.url });
    const drain = 0.5;
    const first = await workers.start({ concurrency: 20, drain });
    const keys = Array.from({ length: 20 }, (_, index) => `job-${index}`);
    const tasks = keys.map((key) => queue.submit(attempted, key, 4_000));
    const onThread = queue.submit(threaded, "thread", 4_000);
    const short = queue.submit(attempted, "short", 1);
    await expect.poll(() => ledger.runs().size, { timeout: 30_000, interval: 20 }).toBe(21);
    const second = await workers.start({ concurrency: 50 });
    const told = Date.now();
    const ended = await first.kill("SIGTERM");
    const exited = Date.now() - told;

    expect(ended.code).toBe(0);
    expect(await Promise.all(tasks)).toEqual(keys.map(() => 1));
    expect(await onThread).toBe("thread");
    expect(await short).toBe(1);
    const handovers = [...keys, "thread"].map((key) => {
      const runs = ledger.runs().get(key) ?? [];
      expect(runs.map(({ pid }) => pid)).toEqual([first.child.pid, second.child.pid]);
      return (runs[1]?.startedAt as number) - told - drain * 1_000;
    });
    const slowest = Math.max(...handovers);
    measured(
      `21 jobs handed over, the last ${slowest} ms after the drain; the worker had gone after ${exited} ms`,
    );
    // The jobs were handed over, and did not wait until their locks had lapsed.
    expect(slowest).toBeLessThan(queue.engine.locks.duration / 2);
  },
);
