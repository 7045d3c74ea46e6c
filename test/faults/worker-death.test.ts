import { setTimeout as delay } from "node:timers/promises";
import { TaskQueue } from "@taskloom/queue";
import type { RemoteTask } from "@taskloom/queue";
import { expect } from "vitest";
import { faultTest, full, greatestLag, measured } from "./support/fault-test.ts";
import { deadly, marked } from "./support/tasks.ts";

const jobs = full ? 20_000 : 1_500;
const kills = full ? 20 : 4;
const concurrency = 20;

faultTest(
  `kill -9 of workers, ${kills} times under ${jobs} jobs: each ends once, none is lost, only what ran runs again`,
  { timeout: 600_000 },
  async ({ redis, workers, ledger }) => {
    await using queue = new TaskQueue({ engine: redis.url });
    const keys = Array.from({ length: jobs }, (_, index) => `job-${index}`);
    const tasks: RemoteTask<string>[] = [];
    let ended = 0;
    const submitPart = (): void => {
      for (const key of keys.slice(tasks.length, tasks.length + jobs / kills)) {
        const task = queue.submit(marked, key, 100);
        task.addDoneCallback(() => ended++);
        tasks.push(task);
      }
    };
    const lag = greatestLag();
    const alive = await Promise.all([workers.start({ concurrency }), workers.start({ concurrency })]);
    const deaths: { readonly pid: number; readonly at: number; readonly cutOff: readonly string[] }[] = [];
    for (let kill = 0; kill < kills; kill++) {
      const victim = alive.shift();
      const pid = victim!.child.pid!;
      const before = ended;
      // A part for each death: on a slow machine, all jobs would end while the next worker starts.
      submitPart();
      // A worker dies in the middle of its work, and only after 40 more jobs have ended.
      await expect.poll(() => ended, { timeout: 60_000, interval: 20 }).toBeGreaterThan(before + 40);
      await victim?.kill("SIGKILL");
      deaths.push({ pid, at: Date.now(), cutOff: ledger.cutOff(pid) });
      alive.push(await workers.start({ concurrency }));
    }
    const values = await Promise.all(tasks);
    // A job that ran again after its end would do so within the time of a lock.
    await delay(queue.engine.locks.duration + 2 * queue.engine.locks.stalledInterval);

    expect(values).toEqual(keys.map((key, index) => `${key} of ${tasks[index]?.id}`));
    const runs = ledger.runs();
    const killed = new Set(deaths.map(({ pid }) => pid));
    let reruns = 0;
    for (const key of keys) {
      const ofKey = runs.get(key) ?? [];
      expect(ofKey.length, key).toBeGreaterThan(0);
      expect(ofKey.at(-1)?.endedAt, `the last run of ${key}`).toBeDefined();
      for (const run of ofKey.slice(0, -1)) {
        expect(killed, `${key} ran again, so its first worker was killed`).toContain(run.pid);
        reruns++;
      }
    }
    // A worker runs at most its concurrency at once, so only jobs that were running run again.
    expect(reruns).toBeLessThanOrEqual(kills * concurrency);
    const recoveries = deaths.flatMap(({ pid, at, cutOff }) =>
      cutOff.map((key) => {
        const ofKey = runs.get(key) ?? [];
        const next = ofKey[ofKey.findIndex((run) => run.pid === pid) + 1];
        expect(next, `${key} was running when ${pid} died, so it runs again`).toBeDefined();
        return next!.startedAt - at;
      }),
    );
    expect(recoveries.length).toBeGreaterThan(0);
    const counts = await queue.counts();
    expect(counts).toMatchObject({ waiting: 0, active: 0, delayed: 0, completed: jobs, failed: 0 });
    const slowest = Math.max(...recoveries);
    measured(
      `${jobs} jobs, ${kills} kills: 0 lost, 0 doubled, ${reruns} re-runs; slowest recovery ${slowest} ms`,
    );
    expect(slowest).toBeLessThanOrEqual(10_000 + 4 * lag());
  },
);

faultTest(
  "a job whose worker dies twice runs again, and is not failed by a stalled limit",
  { timeout: 120_000 },
  async ({ redis, workers, ledger }) => {
    await using queue = new TaskQueue({ engine: redis.url });
    const task = queue.submit(deadly, "deadly", 2);
    for (let life = 0; life < 2; life++) {
      const worker = await workers.start();
      expect((await worker.ended).signal).toBe("SIGKILL");
    }
    await workers.start();
    // A death uses no attempt, so this is still the first attempt.
    expect(await task).toBe(1);
    expect(ledger.runs().get("deadly")).toHaveLength(3);
  },
);
