import { TaskQueue, defineTask } from "@taskloom/queue";
import { LaneQueues, pauseSchedule } from "@taskloom/queue/operating";
import { describe, expect } from "vitest";
import { stores } from "./engines.ts";

const add = defineTask({ name: "test.add" }, async (a: number, b: number) => a + b);
const hour = 3_600_000;

describe.each(stores)("on $name", ({ test }) => {
  test("a paused schedule has its times but no run, stays paused when it is stored again, and goes on", async ({
    engine,
  }) => {
    await using queue = new TaskQueue({ engine, name: `paused-${Math.random().toString(36).slice(2)}` });
    const until = Date.now() + 1_000 * hour;
    const cron = { cron: "0 3 * * *", timezone: "Europe/Paris", until };
    const nightly = await queue.schedule("nightly", cron, add, 1, 2);
    const hourly = await queue.schedule("hourly", { every: hour }, add, 3, 4);
    await Promise.all([nightly.pause(), hourly.pause(), hourly.pause()]);
    const shown = async (): Promise<unknown> =>
      (await queue.schedules()).toSorted((a, b) => a.id.localeCompare(b.id));
    const paused = [
      { id: "hourly", every: hour, cron: undefined, next: undefined, isPaused: true },
      { id: "nightly", cron: "0 3 * * *", timezone: "Europe/Paris", until, next: undefined, isPaused: true },
    ];
    expect(await shown()).toMatchObject(paused);
    // A program stores its schedules whenever it starts.
    expect(await queue.schedule("nightly", { cron: "0 4 * * *" }, add, 5, 6)).toMatchObject({
      isPaused: true,
      cron: "0 4 * * *",
    });
    const extra = await queue.runNow("nightly");
    expect(await queue.states([extra])).toEqual(new Map([[extra, "pending"]]));

    await nightly.resume();
    await hourly.resume();
    const now = queue.engine.now();
    const [everyHour, atFour] = (await shown()) as { next: number; isPaused: boolean }[];
    expect([everyHour?.isPaused, atFour?.isPaused]).toEqual([false, false]);
    // An interval begins anew.
    expect(Math.abs(everyHour!.next - now)).toBeLessThan(2 * hour);
    expect(atFour!.next - now).toBeGreaterThan(0);
    expect(atFour!.next - now).toBeLessThan(25 * hour);

    const lanes = new LaneQueues(queue.engine, queue.name);
    await expect(pauseSchedule(lanes, "none", true)).rejects.toMatchObject({ code: "TASK_OPTIONS" });
    await lanes.close();
    await nightly.remove();
    await hourly.remove();
    expect(await queue.schedules()).toEqual([]);
  });
});
