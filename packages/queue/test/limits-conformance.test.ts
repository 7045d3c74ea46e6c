import { CancelledError, Event, TimeoutError, sleep } from "@taskloom/loop";
import { TaskOptionsError, defineTask } from "@taskloom/queue";
import { LaneQueues, readJob } from "@taskloom/queue/operating";
import type { TaskOptions } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { laneQueueName } from "../src/contract/lane.ts";
import { withShards } from "./engines.ts";
import { pairTest } from "./pair.ts";
import type { Pair } from "./pair.ts";

interface Item {
  readonly key: string;
  readonly n: number;
  readonly ms?: number;
}

/** A limited task that notes its runs. */
function noting(options: Omit<TaskOptions<[Item]>, "name">) {
  const begun: Item[] = [];
  const running = new Map<string, number>();
  const most = new Map<string, number>();
  const gate = new Event();
  const task = defineTask({ name: "test.limited", ...options }, async (item: Item) => {
    begun.push(item);
    for (const key of ["", item.key]) {
      const now = (running.get(key) ?? 0) + 1;
      running.set(key, now);
      most.set(key, Math.max(now, most.get(key) ?? 0));
    }
    try {
      if (item.ms === undefined) await gate.wait();
      else await sleep(item.ms);
    } finally {
      for (const key of ["", item.key]) running.set(key, running.get(key)! - 1);
    }
    return item.n;
  });
  const of = (key: string): number[] => begun.filter((each) => each.key === key).map(({ n }) => n);
  return { task, begun, running, most, gate, of };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

async function twoWorkers(pair: Pair, tasks: Parameters<Pair["work"]>[0], concurrency = 8): Promise<void> {
  await pair.work(tasks, { concurrency });
  await pair.work(tasks, { concurrency });
}

const PATIENT = { timeout: 20_000 };

describe.each(withShards)("on $name", ({ name: engineName, test: engineTest }) => {
  const test = pairTest(engineTest);

  test("no more jobs of a task run at once than its limit, and all of them run once", async ({ pair }) => {
    const { task, begun, most, running, gate } = noting({ concurrency: 3 });
    await twoWorkers(pair, [task]);
    // The first three jobs stay until all slots are seen to be taken.
    const tasks = numbers(60).map((n) =>
      pair.queue.submit(task, n < 3 ? { key: "a", n } : { key: "a", n, ms: n % 4 }),
    );
    await expect.poll(() => running.get("a"), PATIENT).toBe(3);
    gate.set();
    expect(await Promise.all(tasks)).toEqual(numbers(60));
    expect(most.get("")).toBe(3);
    expect(begun.map(({ n }) => n).toSorted((a, b) => a - b)).toEqual(numbers(60));
    expect(await pair.queue.counts()).toMatchObject({ completed: 60, delayed: 0, waiting: 0, active: 0 });
  });

  test("the jobs of a key start one after the other in the order of their submission, and those of other keys beside them", async ({
    pair,
  }) => {
    const { task, most, of } = noting({ concurrency: { limit: 1, key: ([item]) => item.key } });
    await twoWorkers(pair, [task]);
    const keys = ["a", "b: c", "é{x}"];
    const tasks = numbers(25).flatMap((n) => keys.map((key) => pair.queue.submit(task, { key, n, ms: 2 })));
    await Promise.all(tasks);
    for (const key of keys) {
      expect(of(key), key).toEqual(numbers(25));
      expect(most.get(key), key).toBe(1);
    }
    expect(most.get("")).toBeGreaterThan(1);
  });

  test("jobs that wait for a slot take no place of the lane", async ({ pair }) => {
    const { task, gate, begun } = noting({ concurrency: 1 });
    const other = defineTask({ name: "test.other" }, async (n: number) => n);
    const tasks = numbers(30).map((n) => pair.queue.submit(task, { key: "a", n }));
    await Promise.all(tasks.map((each) => each.sent()));
    await pair.work([task, other], { concurrency: 2 });
    expect(await Promise.all(numbers(10).map((n) => pair.queue.submit(other, n)))).toEqual(numbers(10));
    expect(begun).toHaveLength(1);
    gate.set();
    expect(await Promise.all(tasks)).toEqual(numbers(30));
    expect(begun.map(({ n }) => n)).toEqual(numbers(30));
  });

  test("a rate holds for all workers together", async ({ pair }) => {
    const starts: number[] = [];
    const task = defineTask({ name: "test.rate", rateLimit: { max: 3, duration: 300 } }, async () => {
      starts.push(Date.now());
    });
    await twoWorkers(pair, [task]);
    const from = Date.now();
    await Promise.all(numbers(9).map(() => pair.queue.submit(task)));
    expect(starts).toHaveLength(9);
    // Three starts at most are earlier than each window.
    expect(starts.filter((at) => at < from + 299).length).toBeLessThanOrEqual(3);
    expect(starts.filter((at) => at < from + 599).length).toBeLessThanOrEqual(6);
    expect(starts.at(-1)! - from).toBeLessThan(5_000);
  });

  test("a task has a limit of a key beside a rate of its own", async ({ pair }) => {
    const { task, most, of } = noting({
      concurrency: { limit: 1, key: ([item]) => item.key },
      rateLimit: { max: 5, duration: 100 },
    });
    await twoWorkers(pair, [task]);
    const from = Date.now();
    const tasks = numbers(6).flatMap((n) =>
      ["a", "b"].map((key) => pair.queue.submit(task, { key, n, ms: 1 })),
    );
    await Promise.all(tasks);
    expect(Date.now() - from).toBeGreaterThanOrEqual(199);
    for (const key of ["a", "b"]) {
      expect(of(key)).toEqual(numbers(6));
      expect(most.get(key)).toBe(1);
    }
  });

  test("a submission names its key", async ({ pair }) => {
    const { task, gate, running } = noting({ concurrency: { limit: 1, key: "limitKey" } });
    await pair.work([task], { concurrency: 10 });
    const tasks = ["x", "x", "y"].map((key, n) =>
      pair.queue.with({ limitKey: key }).submit(task, { key, n }),
    );
    await expect.poll(() => [running.get("x"), running.get("y")], PATIENT).toEqual([1, 1]);
    gate.set();
    expect(await Promise.all(tasks)).toEqual([0, 1, 2]);
  });

  test("a failed attempt frees its slot, and its next attempt takes one again", async ({ pair }) => {
    const runs: string[] = [];
    const task = defineTask(
      { name: "test.failing", concurrency: 1, attempts: 2, backoff: { type: "fixed", delay: 20 } },
      async (name: string) => {
        runs.push(name);
        if (name === "bad") throw new Error("bad");
        return name;
      },
    );
    await twoWorkers(pair, [task]);
    const bad = pair.queue.submit(task, "bad");
    const good = pair.queue.submit(task, "good");
    expect(await good).toBe("good");
    await expect(bad).rejects.toThrow("bad");
    expect(bad.attempts).toBe(2);
    expect(runs.toSorted()).toEqual(["bad", "bad", "good"]);
  });

  test("a parked job that is cancelled leaves the line", async ({ pair }) => {
    const { task, gate, begun } = noting({ concurrency: 1 });
    await twoWorkers(pair, [task]);
    const tasks = numbers(4).map((n) => pair.queue.submit(task, { key: "a", n }));
    await expect.poll(async () => (await pair.queue.counts()).delayed, PATIENT).toBe(3);
    tasks[1]!.cancel();
    await expect(tasks[1]!).rejects.toThrow(CancelledError);
    gate.set();
    expect(await Promise.all([tasks[0], tasks[2], tasks[3]])).toEqual([0, 2, 3]);
    expect(begun.map(({ n }) => n)).toEqual([0, 2, 3]);
  });

  test("the deadline of a parked job ends it", async ({ pair }) => {
    const { task, gate } = noting({ concurrency: 1 });
    await pair.work([task], { concurrency: 4 });
    const first = pair.queue.submit(task, { key: "a", n: 0 });
    await first.sent();
    const late = pair.queue.with({ deadline: 150 }).submit(task, { key: "a", n: 1 });
    await expect(late).rejects.toThrow(TimeoutError);
    gate.set();
    expect(await first).toBe(0);
  });

  test("a job that a stopping worker hands back is the next of its key", async ({ pair }) => {
    const { task, gate, begun, running } = noting({ concurrency: { limit: 1, key: ([item]) => item.key } });
    const tasks = numbers(5).map((n) => pair.queue.submit(task, { key: "a", n }));
    await Promise.all(tasks.map((each) => each.sent()));
    await pair.work([task], { concurrency: 5, drain: 0 });
    await expect.poll(() => running.get("a"), PATIENT).toBe(1);
    // The others are in their line by then: one that was asking while its worker stopped has gone before this one.
    await expect.poll(async () => (await pair.queue.counts()).delayed, PATIENT).toBe(4);
    await pair.stopWorkers();
    expect(begun.map(({ n }) => n)).toEqual([0]);
    gate.set();
    await twoWorkers(pair, [task]);
    expect(await Promise.all(tasks)).toEqual(numbers(5));
    expect(begun.map(({ n }) => n)).toEqual([0, 0, 1, 2, 3, 4]);
  });

  test("a worker whose task has no limit any more wakes the jobs that wait for one", async ({ pair }) => {
    const { task, running } = noting({ concurrency: 1 });
    const tasks = numbers(5).map((n) => pair.queue.submit(task, { key: "a", n }));
    await Promise.all(tasks.map((each) => each.sent()));
    await pair.work([task], { concurrency: 5, drain: 0 });
    await expect.poll(() => running.get("a"), PATIENT).toBe(1);
    await expect.poll(async () => (await pair.queue.counts()).delayed, PATIENT).toBe(4);
    await pair.stopWorkers();
    const unlimited = defineTask({ name: task.task.name }, async (item: Item) => item.n);
    await pair.work([unlimited], { concurrency: 5 });
    expect(await Promise.all(tasks)).toEqual(numbers(5));
    expect(await pair.queue.engine.limits.list(laneQueueName(pair.queue.name, "loop"))).toEqual([]);
  });

  test("the calls of a map are limited, too", async ({ pair }) => {
    const { task, most } = noting({ concurrency: { limit: 1, key: ([item]) => item.key } });
    await twoWorkers(pair, [task]);
    const items = numbers(10).map((n) => ({ key: n % 2 === 0 ? "even" : "odd", n, ms: 1 }));
    expect(await pair.queue.map(task, items).toArray()).toEqual(numbers(10));
    expect([most.get("even"), most.get("odd")]).toEqual([1, 1]);
    expect(() => pair.queue.map(task, items, { chunkSize: 2 })).toThrow(TaskOptionsError);
  });

  test("a limit shows who has its slots and who waits", async ({ pair }) => {
    const { task, gate } = noting({ concurrency: { limit: 1, key: ([item]) => item.key } });
    await twoWorkers(pair, [task]);
    const lane = laneQueueName(pair.queue.name, "loop");
    const { limits } = pair.queue.engine;
    const tasks = numbers(3).map((n) => pair.queue.submit(task, { key: "a", n }));
    await expect.poll(async () => (await pair.queue.counts()).delayed, PATIENT).toBe(2);
    const name = "concurrency:test.limited:a";
    const state = { name, max: 1, window: 0, taken: 1, waiting: 2 };
    await expect.poll(() => limits.list(lane), PATIENT).toEqual([state]);
    expect(await limits.place(lane, tasks[0]!.id)).toBeUndefined();
    expect(await limits.place(lane, tasks[1]!.id)).toEqual({ ...state, ahead: 0 });
    expect(await limits.place(lane, tasks[2]!.id)).toEqual({ ...state, ahead: 1 });
    const limit = { kind: "concurrency", task: "test.limited", key: "a", max: 1, taken: 1, waiting: 2 };
    expect(await pair.queue.taskLimits()).toEqual([{ ...limit, lane: "loop" }]);
    const queues = new LaneQueues(pair.queue.engine, pair.queue.name);
    const snapshot = await readJob(queues, { lane: "loop", stored: tasks[2]!.id });
    expect(snapshot).toMatchObject({ state: "delayed", attempts: 0, limitedBy: { ...limit, ahead: 1 } });
    expect(await readJob(queues, { lane: "loop", stored: tasks[0]!.id })).not.toHaveProperty("limitedBy");
    await queues.close();
    gate.set();
    await Promise.all(tasks);
    // Nothing of a limit that nobody uses stays at the engine.
    await expect.poll(() => limits.list(lane), PATIENT).toEqual([]);
  });

  test("a job passes one that does not come to ask, and keeps its place", async ({ pair }) => {
    const { task, begun } = noting({ concurrency: 1 });
    const lane = laneQueueName(pair.queue.name, "loop");
    await pair.queue.connect();
    // The submitter of this job has died before it added the job.
    await pair.queue.engine.limits.join(lane, [{ id: "loop.never", limits: ["concurrency:test.limited"] }]);
    await twoWorkers(pair, [task]);
    const tasks = numbers(3).map((n) => pair.queue.submit(task, { key: "a", n, ms: 1 }));
    expect(await Promise.all(tasks)).toEqual(numbers(3));
    expect(begun.map(({ n }) => n)).toEqual(numbers(3));
  });

  if (engineName === "memory") return;
  test("the limits of another lane and of another queue are their own", async ({ pair }) => {
    const { limits } = pair.queue.engine;
    await pair.queue.connect();
    expect(await limits.list("nobody.loop")).toEqual([]);
    expect(await limits.place("nobody.loop", "loop.x")).toBeUndefined();
    await limits.sweep("nobody.loop");
    await limits.drop("nobody.loop", "rate:x");
    expect(
      await limits.ask("nobody.loop", "loop.x", "t", [
        { name: "rate:x", max: 1, window: 5, includesOthers: true },
      ]),
    ).toEqual({
      kind: "lost",
    });
  });
});
