import { expect, test } from "vitest";
import { DueHeap } from "../src/engines/memory/due-heap.ts";
import { MemoryLane } from "../src/engines/memory/memory-lane.ts";

const data = { v: 1, version: 1, args: [] } as const;

/** A lane with so many ended jobs, of which each look is counted, and with the time as it is set. */
async function laneWith(
  count: number,
): Promise<{ lane: MemoryLane; looks: () => number; setTime: (to: number) => void }> {
  let now = 0;
  let looks = 0;
  const lane = new MemoryLane("test.loop", () => now);
  for (let n = 0; n < count; n++) {
    await lane.add("kept", { ...data, keep: { completed: 1_000 + (n % 100) } }, { jobId: `loop.${n}` });
    const job = lane.take("token", () => {});
    if (job === undefined) throw new Error("the job that was added is not there");
    await job.moveToCompleted(n, "token");
    for (const field of ["data", "state", "keptUntil", "finishedOn"] as const) {
      let value: unknown = job[field];
      Object.defineProperty(job, field, {
        get: () => {
          looks++;
          return value;
        },
        set: (to: unknown) => {
          value = to;
        },
      });
    }
  }
  return { lane, looks: () => looks, setTime: (to) => (now = to) };
}

test.each([10, 10_000])("to add, find and end a job looks at none of %i that are kept", async (kept) => {
  const { lane, looks } = await laneWith(kept);
  await lane.add("new", data, { jobId: "loop.new" });
  expect(lane.find("loop.new")?.state).toBe("waiting");
  await lane.take("token", () => {})?.moveToCompleted(1, "token");
  lane.removeExpired();
  expect(looks()).toBe(0);
});

test("each job is dropped at its own time, and is not found from then on", async () => {
  const { lane, setTime } = await laneWith(300);
  setTime(1_000);
  expect(lane.find("loop.0")).toBeUndefined();
  expect(lane.find("loop.1")).toBeDefined();
  setTime(1_049);
  lane.removeExpired();
  expect(lane.jobs.size).toBe(150);
  setTime(1_099);
  expect((await lane.getJobCounts())["completed"]).toBeUndefined();
  expect(lane.jobs.size).toBe(0);
});

test("a job that was retried is kept for the time of its last end", async () => {
  let now = 0;
  const lane = new MemoryLane("test.loop", () => now);
  const fail = (): void => {
    const job = lane.take("token", () => {});
    if (job !== undefined) lane.fail(job, new Error("no"));
  };
  await lane.add("retried", { ...data, keep: { failed: 1_000 } }, { jobId: "loop.retried" });
  fail();
  now = 900;
  await (await lane.getJob("loop.retried"))?.retry();
  now = 1_500;
  expect(lane.find("loop.retried")?.state).toBe("waiting");
  fail();
  now = 2_400;
  expect(lane.find("loop.retried")?.state).toBe("failed");
  now = 2_500;
  expect(lane.find("loop.retried")).toBeUndefined();
});

test("a heap gives things in the order of their times", () => {
  const heap = new DueHeap<number>();
  const times = Array.from({ length: 500 }, (_, n) => (n * 7_919) % 251);
  for (const time of times) heap.push(time, time);
  const taken: number[] = [];
  for (let due = heap.take(200); due !== undefined; due = heap.take(200)) taken.push(due.item);
  expect(taken).toEqual(times.filter((time) => time <= 200).toSorted((a, b) => a - b));
  expect(heap.take(250)?.at).toBe(201);
});
