import { Event, sleep } from "@taskloom/loop";
import { defineTask } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { stores } from "./engines.ts";
import { pairTest } from "./pair.ts";

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("a worker fills up to its concurrency and no further, and each job runs once", async ({ pair }) => {
    const gate = new Event();
    const ran: number[] = [];
    let most = 0;
    let running = 0;
    const task = defineTask({ name: "test.gated" }, async (n: number) => {
      ran.push(n);
      most = Math.max(most, ++running);
      await gate.wait();
      running--;
      return n;
    });
    const tasks = Array.from({ length: 60 }, (_, n) => pair.queue.submit(task, n));
    await Promise.all(tasks.map((each) => each.sent()));
    await pair.work([task], { concurrency: 37 });
    await expect.poll(() => running, { timeout: 10_000 }).toBe(37);
    await sleep(100);
    expect(running).toBe(37);
    gate.set();
    expect(await Promise.all(tasks)).toEqual(tasks.map((_, n) => n));
    expect(most).toBe(37);
    expect(ran.toSorted((a, b) => a - b)).toEqual(tasks.map((_, n) => n));
  });

  test("what a worker has fetched and not started is another's as soon as it stops", async ({ pair }) => {
    const ends: string[] = [];
    const task = defineTask({ name: "test.stopper" }, async (n: number) => {
      stop.set();
      await sleep(20);
      return n;
    });
    const stop = new Event();
    const tasks = Array.from({ length: 200 }, (_, n) => pair.queue.submit(task, n));
    await Promise.all(tasks.map((each) => each.sent()));
    for (let round = 0; round < 3; round++) {
      stop.clear();
      await pair.work([task], { concurrency: 64, drain: 0 });
      await stop.wait();
      await pair.stopWorkers();
    }
    const from = performance.now();
    await pair.work([task], { onJob: ({ state }) => ends.push(state) });
    expect(await Promise.all(tasks)).toEqual(tasks.map((_, n) => n));
    // A job that nobody gave back waits until its lock lapses, for 8 s, and on the embedded engine for a day.
    expect(performance.now() - from).toBeLessThan(6_000);
    expect(new Set(ends)).toEqual(new Set(["completed"]));
    expect(tasks.every(({ attempts }) => attempts === 1)).toBe(true);
  });
});
