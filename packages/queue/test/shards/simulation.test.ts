import { expect, test } from "vitest";
import { simulate } from "./simulation.ts";

const SHARDS = 64;

/** Returns the value below which a share of sorted values lies. */
const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;

// Virtual time, and much processor time: a test has taken 45 seconds on two busy cores.
const PATIENT = { timeout: 300_000 };

test("64 shards and 1,000 workers: an even load is even, and no shard starves", PATIENT, async () => {
  const result = await simulate({
    shards: SHARDS,
    workers: 1_000,
    concurrency: 10,
    duration: 100,
    step: 10,
    steps: 60,
    // 70 % of the places are in use, and the first shard has a backlog.
    load: (step) => [
      ...(step < 40 ? [{ count: 700 }] : []),
      ...(step === 0 ? [{ shard: 0, count: 4_000 }] : []),
    ],
  });
  expect(result.left).toBe(0);
  expect(result.ended).toBe(40 * 700 + 4_000);
  expect(result.mostAtOnce).toBeLessThanOrEqual(10);
  const counts = result.waits.slice(1).map((each) => each.length);
  expect(Math.max(...counts) / Math.min(...counts)).toBeLessThan(1.1);
  // Beside the backlog of the first shard, the jobs of the others wait for at most a job's time.
  for (const [shard, waits] of result.waits.entries())
    if (shard !== 0) expect(quantile(waits, 0.99), `shard ${shard}`).toBeLessThanOrEqual(100);
});

test(
  "three of 64 shards are lost: the others go on as before, and the lost ones catch up",
  PATIENT,
  async () => {
    const lost = new Set([3, 20, 41]);
    const result = await simulate({
      shards: SHARDS,
      workers: 1_000,
      concurrency: 10,
      duration: 100,
      step: 10,
      steps: 80,
      load: (step) => (step < 50 ? [{ count: 600 }, ...[...lost].map((shard) => ({ shard, count: 5 }))] : []),
      lost: (step) => (step >= 10 && step < 40 ? lost : new Set()),
    });
    expect(result.left).toBe(0);
    expect(result.ended).toBe(50 * 600 + 50 * 15);
    for (const [shard, waits] of result.waits.entries()) {
      if (lost.has(shard)) expect(quantile(waits, 1)).toBeGreaterThanOrEqual(200);
      else expect(quantile(waits, 0.99), `shard ${shard}`).toBeLessThanOrEqual(100);
    }
    // In each tenth of a second of the loss, every other shard has ended jobs.
    for (let from = 20; from < 40; from += 10) {
      for (const shard of Array.from({ length: SHARDS }, (_, at) => at)) {
        const ended = result.endedIn.slice(from, from + 10).reduce((sum, each) => sum + each[shard]!, 0);
        if (lost.has(shard)) expect(ended).toBe(0);
        else expect(ended, `shard ${shard} from step ${from}`).toBeGreaterThan(50);
      }
    }
  },
);
