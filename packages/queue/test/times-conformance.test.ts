import { Event } from "@taskloom/loop";
import { TaskQueue, defineTask, openEngine } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { stores } from "./engines.ts";
import { pairTest } from "./pair.ts";

const tenYears = 10 * 365 * 86_400_000;
const echo = defineTask({ name: "times.echo", timeout: 30_000.5 }, async (value: unknown) => value);

/** A task that fails until its second attempt. */
function flaky(backoff: { type: "fixed" | "exponential"; delay: number; jitter?: number }) {
  let attempts = 0;
  return defineTask({ name: "times.flaky", attempts: 2, backoff }, async () => {
    if (++attempts < 2) throw new Error("not yet");
    return attempts;
  });
}

const fractions = {
  delay: { delay: 16.1 },
  "tiny delay": { delay: 1e-7 },
  keep: { keep: { completed: 1_000.25, failed: 1_000.25 } },
  timeout: { timeout: 30_000.5 },
  deadline: { deadline: 60_000.5 },
  ttl: { deduplicate: { key: "times", ttl: 1_000.5 } },
  "delay with a priority": { delay: 1.5, priority: 3 },
};

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("options that are no whole milliseconds are rounded up", async ({ pair }) => {
    const queue = await pair.work([echo]);
    for (const [option, options] of Object.entries(fractions))
      expect(await queue.with(options).submit(echo, option), option).toBe(option);
    expect(
      await queue
        .with({ timeout: 1_000.5 })
        .map(echo, [[1], [2]])
        .toArray(),
    ).toEqual([1, 2]);
    await queue.limit({ max: 100, per: 99.5 });
    expect(await queue.submit(echo, "limited")).toBe("limited");
  });

  test("a delay is stored as the next whole millisecond", async ({ pair }) => {
    const { queue } = pair;
    const job = queue.with({ delay: 60_000.1, backoff: { type: "fixed", delay: 10.5 } }).submit(echo, 1);
    await job.sent();
    const engine = openEngine(pair.engine);
    await engine.connect();
    const lane = engine.openLane(`${queue.name}.loop`);
    const { opts } = (await lane.getJob(job.id)) ?? {};
    expect(opts).toMatchObject({ delay: 60_001, backoff: { type: "fixed", delay: 11 } });
    await lane.close();
    await engine.close();
    job.cancel();
    await job.catch(() => {});
  });

  test.for([
    ["fixed", { type: "fixed", delay: 10.5 }],
    ["exponential", { type: "exponential", delay: 7.3 }],
    ["exponential with jitter", { type: "exponential", delay: 7.3, jitter: 0.37 }],
  ] as const)("a back-off that is no whole number is waited for: %s", async ([_name, backoff], { pair }) => {
    const task = flaky(backoff);
    const queue = await pair.work([task]);
    expect(await queue.submit(task)).toBe(2);
  });

  test("an interval that is no whole number is rounded up", async ({ pair }) => {
    const ran = new Event();
    const task = defineTask({ name: "times.tick" }, async () => ran.set());
    const queue = await pair.work([task]);
    const schedule = await queue.schedule("tick", { every: 3_600_000.5 }, task);
    expect(schedule.every).toBe(3_600_001);
    await ran.wait();
    await expect.poll(async () => Number.isInteger((await queue.schedules())[0]?.next)).toBe(true);
    expect(await schedule.remove()).toBe(true);
  });

  test("a schedule with an interval that is too long is refused, and leaves nothing", async ({ pair }) => {
    const { queue } = pair;
    await expect(queue.schedule("eon", { every: 9e15 }, echo, 1)).rejects.toMatchObject({
      code: "TASK_OPTIONS",
    });
    expect(await queue.schedules()).toEqual([]);
    expect(await queue.counts()).toMatchObject({ delayed: 0, waiting: 0 });
  });
});

const { test: plainTest } = stores.find(({ name }) => name === "memory")!;

plainTest.for([
  ["delay", { delay: 1e308 }],
  ["delay", { delay: tenYears + 1 }],
  ["delay", { delay: -1 }],
  ["delay", { delay: Number.NaN }],
  ["delay", { delay: "5" as never }],
  ["deadline", { deadline: Infinity }],
  ["timeout", { timeout: 1e300 }],
  ["keep.completed", { keep: { completed: Infinity } }],
  ["backoff.delay", { backoff: { type: "fixed", delay: Infinity } }],
  ["backoff.delay", { backoff: { type: "exponential", delay: tenYears + 1 } }],
  ["deduplicate.ttl", { deduplicate: { key: "k", ttl: 0 } }],
] as const)("%s of %j is refused by name", async ([option, options]) => {
  await using queue = new TaskQueue({ engine: "memory:times" });
  expect(() => queue.with(options)).toThrow(
    expect.objectContaining({ code: "TASK_OPTIONS", message: expect.stringContaining(option) }),
  );
});

plainTest("a task's own times are rounded and bounded in the same way", () => {
  expect(echo.task.timeout).toBe(30_001);
  expect(defineTask({ name: "times.endless", timeout: Infinity }, () => 1).task.timeout).toBeUndefined();
  for (const options of [
    { timeout: 0 },
    { timeout: 1e300 },
    { backoff: { type: "fixed", delay: Infinity } as const },
  ])
    expect(() => defineTask({ name: "times.wrong", ...options }, () => 1)).toThrow(
      expect.objectContaining({ code: "TASK_OPTIONS" }),
    );
});

plainTest("the longest times are accepted", async () => {
  await using queue = new TaskQueue({ engine: "memory:times-longest" });
  const job = queue.with({ delay: tenYears, keep: { failed: tenYears } }).submit(echo, 1);
  await job.sent();
  expect(await job.state()).toBe("delayed");
  job.cancel();
  await job.catch(() => {});
});
