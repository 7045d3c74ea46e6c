import { expect, it } from "vitest";
import { TimeHistogram } from "../src/pool/time-histogram.ts";
import { failure, jobs, makePool } from "./support.ts";

const EMPTY = { count: 0, mean: 0, stddev: 0, min: 0, max: 0, p50: 0, p75: 0, p90: 0, p99: 0, p999: 0 };

it("summarizes times in milliseconds, exact to 1 %", () => {
  const histogram = new TimeHistogram();
  expect(histogram.summary()).toEqual(EMPTY);
  for (let n = 1; n <= 1_000; n++) histogram.record(n / 10);
  const { count, mean, min, p50, p99, p999, max } = histogram.summary();
  expect([count, min]).toEqual([1_000, 0.1]);
  for (const [value, expected] of [
    [mean, 50.05],
    [p50, 50],
    [p99, 99],
    [p999, 99.9],
    [max, 100],
  ] as const)
    expect(Math.abs(value / expected - 1)).toBeLessThan(0.01);
});

it("takes any time: none, less than none, and longer than a week", () => {
  const histogram = new TimeHistogram();
  for (const time of [0, -5, 1e12, Infinity]) histogram.record(time);
  expect(histogram.summary()).toMatchObject({ count: 4, min: 0.001 });
});

it("a pool knows how long its calls waited and ran", async () => {
  const pool = makePool({ maxThreads: 1, minThreads: 1 });
  expect(pool.stats()).toMatchObject({ waitTime: EMPTY, runTime: EMPTY });
  await pool.submit(jobs.add, 1, 2);
  const first = pool.submit(jobs.block, 60);
  const second = pool.submit(jobs.block, 0);
  await Promise.all([first, second]);
  const { waitTime, runTime } = pool.stats();
  expect([waitTime.count, runTime.count]).toEqual([3, 3]);
  // The second call waited for the first one, on the only thread.
  expect(waitTime.max).toBeGreaterThanOrEqual(58);
  expect(runTime.max).toBeGreaterThanOrEqual(59);
  expect(runTime.p50).toBeLessThan(runTime.max);
});

it("counts a call that fails, and none that no thread has begun", async () => {
  const pool = makePool({ maxThreads: 1 });
  const failing = pool.submit(jobs.throwThis, "no");
  const cancelled = pool.submit(jobs.block, 0);
  cancelled.cancel();
  await failure(failing);
  await failure(cancelled);
  expect(pool.stats().runTime.count).toBe(1);
});
