import { TaskQueue, UnrecoverableError, defineTask, reportProgress } from "@taskloom/queue";
import type { QueueEvent } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { stores } from "./engines.ts";
import { pairTest } from "./pair.ts";

const work = defineTask({ name: "test.work" }, async (value: string) => {
  reportProgress({ half: value });
  return new Map([[value, 1]]);
});
const fail = defineTask({ name: "test.fail" }, async () => {
  throw new UnrecoverableError("no disk");
});

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("a stream has the events of each job from its addition to its removal", async ({ pair }) => {
    const queue = await pair.work([work, fail]);
    await queue.submit(work, "before");
    const events = queue.events();
    await events.ready();
    const done = queue.submit(work, "a");
    await done;
    const failed = queue.submit(fail);
    await expect(failed).rejects.toThrow("no disk");
    const late = queue.with({ delay: 3_600_000 }).submit(work, "late");
    await late.sent();
    await expect(Promise.all([queue.remove(late.id), late])).rejects.toThrow("removed");
    const seen = new Map<string, QueueEvent[]>();
    for await (const event of events) {
      if (event.type === "missed") throw new Error("nothing may be missed");
      seen.set(event.id, [...(seen.get(event.id) ?? []), event]);
      if (event.type === "removed") break;
    }
    const typesOf = (id: string): string[] | undefined => seen.get(id)?.map(({ type }) => type);
    expect([...seen.keys()]).toEqual([done.id, failed.id, late.id]);
    expect(typesOf(done.id)).toEqual(["added", "waiting", "started", "progress", "completed"]);
    expect(seen.get(done.id)).toMatchObject([
      { lane: "loop", task: "test.work" },
      {},
      {},
      { value: { half: "a" } },
      { value: new Map([["a", 1]]) },
    ]);
    expect(typesOf(failed.id)).toEqual(["added", "waiting", "started", "failed"]);
    expect(seen.get(failed.id)?.at(-1)).toMatchObject({ message: "no disk" });
    expect(typesOf(late.id)?.filter((type) => type !== "started")).toEqual([
      "added",
      "delayed",
      "cancelled",
      "removed",
    ]);
    expect(seen.get(late.id)?.find(({ type }) => type === "cancelled")).toMatchObject({ reason: "removed" });
  });

  test("a slow reader misses the oldest events and receives their number, and a signal ends its stream", async ({
    pair,
  }) => {
    const { queue } = pair;
    const abort = new AbortController();
    const events = queue.events({ buffer: 2, signal: abort.signal });
    const whole = queue.events();
    await Promise.all([events.ready(), whole.ready()]);
    const jobs = [1, 2, 3].map(() => queue.with({ delay: 3_600_000 }).submit(work, "later"));
    for (const job of jobs) await job.sent();
    for (let added = 0; added < 3;) added += (await whole.next()).value?.type === "delayed" ? 1 : 0;
    await expect.poll(async () => (await events.next()).value?.type, { timeout: 10_000 }).toBe("missed");
    await events.next();
    const last = events.next();
    abort.abort();
    expect([(await last).done, (await events.next()).done]).toEqual([expect.any(Boolean), true]);
    const open = queue.events();
    const waiting = open.next();
    for (const job of jobs) job.catch(() => {});
    await queue.close();
    expect(await waiting).toEqual({ value: undefined, done: true });
    expect(() => queue.events()).toThrow(/closed/);
  });
});

stores.at(-1)!.test("an invalid buffer is refused", async ({ engine }) => {
  await using queue = new TaskQueue({ engine });
  expect(() => queue.events({ buffer: 0 })).toThrow("Expected `buffer` to be a whole number above 0, got 0");
});
