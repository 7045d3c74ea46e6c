import { defineTask } from "@taskloom/queue";
import { describe, expect, test as plainTest } from "vitest";
import { PutBacks } from "../src/worker/put-backs.ts";
import { stores } from "./engines.ts";
import { pairTest } from "./pair.ts";

const known = defineTask({ name: "test.known" }, async (n: number) => n);
const other = defineTask({ name: "test.other" }, async (n: number) => n);
const both = defineTask({ name: "test.both" }, async (n: number) => n);

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("a job goes to the one worker that knows its task, past those that do not", async ({ pair }) => {
    for (let worker = 0; worker < 3; worker++) await pair.work([other]);
    await pair.work([known]);
    for (let n = 0; n < 8; n++) expect(await pair.queue.submit(known, n)).toBe(n);
  });

  test("workers of two releases have each other's jobs", async ({ pair }) => {
    await pair.work([known, both]);
    await pair.work([other, both]);
    for (let n = 0; n < 8; n++) {
      const jobs = [known, other, both].map((task) => pair.queue.submit(task, n));
      expect(await Promise.all(jobs)).toEqual([n, n, n]);
    }
  });
});

describe("the pauses of jobs that are put back", () => {
  plainTest("stay below half a second while few jobs are unknown", () => {
    const putBacks = new PutBacks();
    const pauses = Array.from({ length: 40 }, (_, n) => putBacks.next(`job-${n % 4}`, n * 300));
    expect(Math.max(...pauses)).toBeLessThan(500);
    expect(Math.max(...pauses.slice(0, 4))).toBeLessThan(50);
    expect(pauses.every((pause) => Number.isInteger(pause) && pause > 0)).toBe(true);
  });

  plainTest("grow where many jobs are, and shrink when they are gone", () => {
    const putBacks = new PutBacks();
    const names = Array.from({ length: 2_000 }, (_, n) => `job-${n}`);
    let last: number[] = [];
    for (let round = 0; round < 12; round++) last = names.map((name) => putBacks.next(name, round * 1_000));
    expect(Math.min(...last)).toBeGreaterThan(2_000);
    expect(Math.max(...last)).toBeLessThan(8_000);
    expect(putBacks.next("job-0", 100_000)).toBeLessThan(50);
  });
});
