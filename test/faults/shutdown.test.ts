import { TaskQueue } from "@taskloom/queue";
import { expect } from "vitest";
import { faultTest, measured } from "./support/fault-test.ts";
import { attempted, heldAtFirst, threadHeldAtFirst } from "./support/tasks.ts";

faultTest(
  "SIGTERM under load, with a drain shorter than the jobs: they are handed back, and another worker has them before their locks lapse",
  { timeout: 120_000 },
  async ({ redis, workers, ledger }) => {
    await using queue = new TaskQueue({ engine: redis.url });
    const first = await workers.start({ concurrency: 20, drain: 0.5 });
    const keys = Array.from({ length: 20 }, (_, index) => `job-${index}`);
    const tasks = keys.map((key) => queue.submit(heldAtFirst, key));
    const onThread = queue.submit(threadHeldAtFirst, "thread");
    const short = queue.submit(attempted, "short", 1);
    await expect.poll(() => ledger.runs().size, { timeout: 60_000, interval: 20 }).toBe(21);
    const second = await workers.start({ concurrency: 50 });
    const told = Date.now();
    const ended = await first.kill("SIGTERM");
    const exited = Date.now() - told;

    expect(ended.code).toBe(0);
    expect(await Promise.all([...tasks, onThread])).toEqual([...keys, "thread"].map(() => 1));
    expect(await short).toBe(1);
    const handovers = [...keys, "thread"].map((key) => {
      const runs = ledger.runs().get(key) ?? [];
      expect(runs.map(({ pid }) => pid)).toEqual([first.child.pid, second.child.pid]);
      return runs[1]!.startedAt - told;
    });
    measured(
      `21 jobs handed over, the last ${Math.max(...handovers)} ms after SIGTERM; the worker had gone after ${exited} ms`,
    );
    // A job whose lock lapses counts as stalled when it is taken again; a job that is handed back does not.
    for (const lane of ["loop", "thread"] as const) {
      const stored = queue.engine.openQueue(`default.${lane}`);
      for (const { id } of lane === "loop" ? tasks : [onThread])
        expect((await stored.getJob(id))?.stalledCounter).toBe(0);
      await stored.close();
    }
  },
);
