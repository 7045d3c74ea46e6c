import { CancelledError, Event } from "@taskloom/loop";
import { UnrecoverableError, currentJob, defineTask } from "@taskloom/queue";
import { LaneQueues, cleanJobs } from "@taskloom/queue/operating";
import { describe, expect } from "vitest";
import { stores } from "./engines.ts";
import { FakeLane } from "./fake-lane.ts";
import * as fixtures from "./fixtures/tasks.ts";
import { pairTest } from "./pair.ts";

const echo = defineTask({ name: "test.echo" }, async (value: unknown) => value);
const shout = defineTask({ name: "test.shout" }, async () => {});
const fail = defineTask({ name: "test.fail" }, async () => {
  throw new UnrecoverableError("no disk");
});
const none = { waiting: 0, active: 0, delayed: 0, completed: 0, failed: 0, cancelled: 0 };

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("an ended job is removed with its log and its key, and its id is free again", async ({ pair }) => {
    const log = defineTask({ name: "test.log" }, async () => await currentJob()?.log("a line"));
    const queue = await pair.work([log, fail]);
    const first = queue.with({ id: "chosen" }).submit(log);
    await first;
    const keyed = queue.with({ deduplicate: { key: "key", ttl: 60_000 } });
    const holder = keyed.submit(log);
    await holder;
    expect(await queue.remove(holder.id)).toBe(true);
    const failed = queue.submit(fail);
    await expect(failed).rejects.toThrow("no disk");
    expect(await queue.remove(first.id)).toBe(true);
    expect(await queue.remove(failed.id)).toBe(true);
    expect(await queue.remove(first.id)).toBe(false);
    expect(await queue.counts()).toEqual(none);
    await expect(queue.attach(failed.id)).rejects.toMatchObject({ code: "JOB_LOST" });
    const other = keyed.submit(log);
    await other;
    expect(other.id).not.toBe(holder.id);
    const again = queue.with({ id: "chosen" }).submit(log);
    await again;
    expect(again.id).toBe(first.id);
    expect(await again.logs()).toEqual(["a line"]);
    expect(await queue.counts()).toMatchObject({ completed: 2 });
  });

  test("a job that waits is cancelled and removed, on each lane; a job that runs is not", async ({
    pair,
  }) => {
    const { queue } = pair;
    const run = new FakeLane().define("test.run", async () => {});
    const waiting = [
      queue.submit(echo, 1),
      queue.with({ priority: 3 }).submit(echo, 2),
      queue.with({ delay: 60_000 }).submit(fixtures.threadName),
      queue.with({ delay: 60_000 }).submit(run),
    ];
    for (const job of waiting) {
      await job.sent();
      expect(await queue.remove(job.id)).toBe(true);
      await expect(job).rejects.toThrow(new CancelledError("removed"));
    }
    expect(await queue.counts()).toEqual(none);
    const [started, end] = [new Event(), new Event()];
    const hold = defineTask({ name: "test.hold" }, async () => {
      started.set();
      await end.wait();
    });
    await pair.work([hold]);
    const running = queue.submit(hold);
    await started.wait();
    await expect(queue.remove(running.id)).rejects.toThrow(/cannot be removed while it is active; cancel it/);
    end.set();
    await running;
    await expect(queue.remove("no id")).rejects.toMatchObject({ code: "TASK_OPTIONS" });
  });

  test("jobs are cleaned by state, task and age, in pages", async ({ pair }) => {
    const queue = await pair.work([echo, fail, shout]);
    await Promise.allSettled([
      ...[1, 2, 3, 4, 5].map((each) => queue.submit(echo, each)),
      queue.submit(shout),
      queue.submit(fail),
    ]);
    await pair.stopWorkers();
    const cancelled = queue.submit(echo, "never");
    await cancelled.sent();
    cancelled.cancel();
    await expect(cancelled).rejects.toThrow(CancelledError);
    await queue.schedule("daily", { cron: "0 3 * * *" }, echo, "daily");
    const delayed = queue.with({ delay: 60_000 }).submit(echo, "later");
    await delayed.sent();

    expect(await queue.clean({ state: "completed", olderThan: 3_600_000 })).toBe(0);
    expect(await queue.clean({ state: "completed", task: "test.echo", limit: 2 })).toBe(2);
    expect(await queue.counts()).toMatchObject({ completed: 4, failed: 1, cancelled: 1, delayed: 2 });
    const queues = new LaneQueues(queue.engine, queue.name);
    const page = (cursor?: { cursor: string }): ReturnType<typeof cleanJobs> =>
      cleanJobs(queue.engine, () => queues, [queue.name], { state: "completed", limit: 3, ...cursor });
    const first = await page();
    expect(first.removed).toHaveLength(3);
    expect(await page({ cursor: first.next! })).toEqual({ removed: [expect.stringMatching(/^loop\./)] });
    await queues.close();
    expect(await queue.clean({ state: "cancelled" })).toBe(1);
    expect(await queue.clean({ state: "failed" })).toBe(1);
    expect(await queue.clean({ state: "delayed" })).toBe(1);
    await expect(delayed).rejects.toThrow(new CancelledError("removed"));
    expect(await queue.counts()).toEqual({ ...none, delayed: 1 });
    expect(await queue.schedules()).toHaveLength(1);
    await expect(queue.clean({ state: "active" as never })).rejects.toThrow(/`state` to be one of completed/);
    await expect(queue.clean({ state: "failed", limit: 0 })).rejects.toThrow(/`limit` to be a whole number/);
    await expect(queue.clean({ state: "failed", olderThan: -1 })).rejects.toThrow(/`olderThan`/);
  });

  test("a delayed job is promoted, and no other job", async ({ pair }) => {
    let tries = 0;
    const flaky = defineTask(
      { name: "test.flaky", attempts: 2, backoff: { type: "fixed", delay: 3_600_000 } },
      async () => {
        if (++tries === 1) throw new Error("not yet");
        return tries;
      },
    );
    const { queue } = pair;
    const onThread = queue.with({ delay: 3_600_000 }).submit(fixtures.threadName);
    const run = queue.with({ delay: 3_600_000 }).submit(new FakeLane().define("test.run", async () => {}));
    for (const job of [onThread, run]) {
      await job.sent();
      await queue.promote(job.id);
      expect(await job.state()).toBe("waiting");
      await queue.remove(job.id);
      await expect(job).rejects.toThrow(CancelledError);
    }
    await pair.work([echo, flaky]);
    const delayed = [
      queue.with({ delay: 3_600_000 }).submit(echo, "now"),
      queue.with({ delay: 3_600_000, priority: 2 }).submit(echo, "soon"),
    ];
    for (const job of delayed) {
      await job.sent();
      await queue.promote(job.id);
    }
    expect(await Promise.all(delayed)).toEqual(["now", "soon"]);
    const backingOff = queue.submit(flaky);
    await expect.poll(() => backingOff.state(), { timeout: 10_000 }).toBe("delayed");
    await queue.promote(backingOff.id);
    expect(await backingOff).toBe(2);
    await expect(queue.promote(backingOff.id)).rejects.toThrow(/it is completed, and not delayed/);
    await expect(queue.promote("loop.none")).rejects.toMatchObject({ code: "JOB_LOST" });
    const { next } = await queue.schedule("daily", { cron: "0 3 * * *" }, echo, "daily");
    await expect(queue.promote(`loop.repeat:daily:${next}`)).rejects.toThrow(/next run of a schedule/);
    await expect(queue.remove(`loop.repeat:daily:${next}`)).rejects.toThrow(/next run of a schedule/);
  });

  test("a schedule runs once more at once, with its options, and keeps its times", async ({ pair }) => {
    const runs: string[] = [];
    const report = defineTask({ name: "test.report", attempts: 3 }, async (kind: string) => {
      runs.push(kind);
      if (runs.length < 3) throw new Error("again");
      return kind;
    });
    const { queue } = pair;
    const { next } = await queue.schedule("daily", { cron: "0 3 * * *" }, report, "sales");
    await queue.schedule("onThread", { cron: "0 3 * * *" }, fixtures.threadName);
    expect(await queue.runNow("onThread")).toMatch(/^thread\./);
    expect(await queue.counts("thread")).toMatchObject({ waiting: 1, delayed: 1 });
    await pair.work([report]);
    expect(await queue.attach(await queue.runNow("daily"))).toBe("sales");
    expect(runs).toHaveLength(3);
    expect((await queue.schedules()).find(({ id }) => id === "daily")?.next).toBe(next);
    await expect(queue.runNow("weekly")).rejects.toThrow(/no schedule "weekly" in the queue/);
  });

  test("a scheduled run that has ended is removed, and the schedule goes on", async ({ pair }) => {
    const queue = await pair.work([echo]);
    await queue.schedule("often", { every: 3_600_000 }, echo, "tick");
    await expect.poll(() => queue.counts(), { timeout: 10_000 }).toMatchObject({ completed: 1, delayed: 1 });
    expect(await queue.clean({ state: "completed" })).toBe(1);
    expect(await queue.schedules()).toHaveLength(1);
    expect(await queue.counts()).toEqual({ ...none, delayed: 1 });
  });
});
