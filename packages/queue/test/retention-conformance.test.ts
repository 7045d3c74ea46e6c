import { TaskQueue, defineTask } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { laneQueueName } from "../src/contract/lane.ts";
import { DEFAULT_KEEP } from "../src/contract/retention.ts";
import { stores } from "./engines.ts";
import { pairTest } from "./pair.ts";

const echo = defineTask({ name: "test.echo" }, async (value: unknown) => value);
const fail = defineTask({ name: "test.fail" }, async (message: string): Promise<never> => {
  throw new RangeError(message);
});
const hour = 3_600_000;
const day = 24 * hour;

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("a job that is kept for a short time takes no other along", async ({ pair }) => {
    const { queue, engine } = pair;
    await pair.work([echo]);
    const first = queue.submit(echo, "kept");
    await first;
    const brief = queue.with({ keep: { completed: 0 } });
    for (const label of ["a", "b", "c"]) await brief.submit(echo, label);
    await using other = new TaskQueue({ engine, name: queue.name });
    expect(await other.attach(first.id)).toBe("kept");
  });

  test("a worker removes each job when its own time is over, and not before", async ({ pair }) => {
    const { queue } = pair;
    await pair.work([echo, fail]);
    const ends = {
      brief: queue.with({ keep: { completed: 200, failed: 200 } }).submit(echo, 1),
      briefFailure: queue.with({ keep: { completed: 200, failed: 200 } }).submit(fail, "brief"),
      ordinary: queue.submit(echo, 2),
      failure: queue.submit(fail, "ordinary"),
      long: queue.with({ keep: { completed: 30 * day } }).submit(echo, 3),
      cancelled: queue.with({ keep: { completed: 2 * hour }, delay: day }).submit(echo, 4),
    };
    await ends.cancelled.sent();
    ends.cancelled.cancel();
    await Promise.allSettled(Object.values(ends));
    const names = new Map(Object.entries(ends).map(([name, { id }]) => [id, name]));
    const there = async (): Promise<string[]> => {
      const states = await queue.states([...names.keys()]);
      return [...names].flatMap(([id, name]) => (states.get(id) === "missing" ? [] : [name])).toSorted();
    };
    const { engine } = queue;
    const after = async (time: number): Promise<string[]> => {
      await engine.removeExpired(laneQueueName(queue.name, "loop"), engine.now() + time);
      return await there();
    };

    await expect.poll(there, { timeout: 20_000 }).toEqual(["cancelled", "failure", "long", "ordinary"]);
    expect(await after(DEFAULT_KEEP.completed - 60_000)).toEqual([
      "cancelled",
      "failure",
      "long",
      "ordinary",
    ]);
    expect(await after(DEFAULT_KEEP.completed + 1_000)).toEqual(["cancelled", "failure", "long"]);
    expect(await after(2 * hour + 1_000)).toEqual(["failure", "long"]);
    expect(await after(DEFAULT_KEEP.failed + 1_000)).toEqual(["long"]);
    expect(await after(30 * day + 1_000)).toEqual([]);
  });

  test("an id can be used again once its job is gone", async ({ pair }) => {
    const { queue } = pair;
    await pair.work([echo]);
    const once = queue.with({ id: "report", keep: { completed: 0 } });
    const first = once.submit(echo, "first");
    expect(await first).toBe("first");
    const { engine } = queue;
    const stateAfter = async (time: number): Promise<unknown> => {
      await engine.removeExpired(laneQueueName(queue.name, "loop"), engine.now() + time);
      return (await queue.states([first.id])).get(first.id);
    };
    // A worker takes it down a moment after who waits has heard of the end.
    await expect.poll(() => stateAfter(1_000), { timeout: 20_000 }).toBe("missing");
    expect(await once.submit(echo, "second")).toBe("second");
  });
});
