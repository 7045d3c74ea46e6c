import { CancelledError, Event } from "@taskloom/loop";
import { TaskQueue, currentJob, defineTask } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { stores } from "./engines.ts";
import { pairTest } from "./pair.ts";
import type { Pair } from "./pair.ts";

/** A task whose runs wait for a gate each, and are noted with the id of their job. */
class Gated {
  readonly ran: { readonly n: number; readonly id: string | undefined }[] = [];
  readonly started = new Event();
  readonly #gates = new Map<number, Event>();
  readonly #errors = new Map<number, Error>();
  readonly task = defineTask({ name: "keep-last.gated" }, async (n: number) => {
    this.ran.push({ n, id: currentJob()?.id });
    this.started.set();
    await this.#gate(n).wait();
    const error = this.#errors.get(n);
    if (error !== undefined) throw error;
    return n * 10;
  });

  #gate(n: number): Event {
    let gate = this.#gates.get(n);
    if (gate === undefined) this.#gates.set(n, (gate = new Event()));
    return gate;
  }

  open(...numbers: number[]): void {
    for (const n of numbers) this.#gate(n).set();
  }

  fail(n: number, error: Error): void {
    this.#errors.set(n, error);
    this.open(n);
  }
}

const options = { deduplicate: { key: "the-key", keepLastIfActive: true } } as const;

/** A worker with room for one job, which runs the first submission of the key. */
async function oneRuns(pair: Pair) {
  const gated = new Gated();
  const queue = await pair.work([gated.task], { concurrency: 1 });
  const submitter = queue.with(options);
  const one = submitter.submit(gated.task, 1);
  await gated.started.wait();
  return { gated, queue, submitter, one };
}

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("each submission ends with the outcome of the job that runs its arguments, or those of a later one", async ({
    pair,
  }) => {
    const { gated, submitter, one } = await oneRuns(pair);
    const two = submitter.submit(gated.task, 2);
    await two.sent();
    const three = submitter.submit(gated.task, 3);
    await three.sent();
    expect(await three.state()).toBe("waiting");
    const ids = [one.id, three.id];
    gated.open(1, 2, 3);
    expect([await one, await two, await three]).toEqual([10, 30, 30]);
    expect(gated.ran.map(({ n }) => n)).toEqual([1, 3]);
    expect(gated.ran.map(({ id }) => id)).toEqual(ids);
    expect([one.id, two.id, three.id]).toEqual([ids[0], ids[1], ids[1]]);
    gated.open(4);
    expect(await submitter.submit(gated.task, 4)).toBe(40); // The key is free again.
  });

  test("duplicates of one turn are kept in the same way", async ({ pair }) => {
    const { gated, submitter, one } = await oneRuns(pair);
    const others = [2, 3, 4].map((n) => submitter.submit(gated.task, n));
    await Promise.all(others.map((each) => each.sent()));
    gated.open(1, 2, 3, 4);
    expect(await Promise.all([one, ...others])).toEqual([10, 40, 40, 40]);
    expect(gated.ran.map(({ n }) => n)).toEqual([1, 4]);
  });

  test("cancelling the last leaves the first alone, and the last never runs", async ({ pair }) => {
    const { gated, submitter, one } = await oneRuns(pair);
    const two = submitter.submit(gated.task, 2);
    await two.sent();
    two.cancel("no longer wanted");
    await expect(two).rejects.toThrow(CancelledError);
    gated.open(1, 2, 3);
    expect(await one).toBe(10);
    expect(await submitter.submit(gated.task, 3)).toBe(30);
    expect(gated.ran.map(({ n }) => n)).toEqual([1, 3]);
  });

  test("the last of several runs after the first was cancelled or failed", async ({ pair }) => {
    const { gated, submitter, one } = await oneRuns(pair);
    const two = submitter.submit(gated.task, 2);
    await two.sent();
    one.cancel();
    await expect(one).rejects.toThrow(CancelledError);
    await expect.poll(() => gated.ran.length).toBe(2);
    const three = submitter.submit(gated.task, 3);
    await three.sent();
    gated.fail(2, new RangeError("two failed"));
    await expect(two).rejects.toThrow(RangeError);
    gated.open(3);
    expect(await three).toBe(30);
  });

  test("one that another queue's submission replaces ends with that one's outcome", async ({ pair }) => {
    const { gated, queue, submitter, one } = await oneRuns(pair);
    await using other = new TaskQueue({ engine: pair.engine, name: queue.name });
    const two = submitter.submit(gated.task, 2);
    await two.sent();
    const three = other.with(options).submit(gated.task, 3);
    await three.sent();
    await expect.poll(() => two.id).toBe(three.id);
    gated.open(1, 2, 3);
    expect([await one, await two, await three]).toEqual([10, 30, 30]);
  });

  test("one that comes while the job waits is that job", async ({ pair }) => {
    const gated = new Gated();
    gated.open(1, 2);
    const { queue } = pair;
    const one = queue.with(options).submit(gated.task, 1);
    await one.sent();
    const two = queue.with(options).submit(gated.task, 2);
    await two.sent();
    expect(two.id).toBe(one.id);
    await pair.work([gated.task]);
    expect([await one, await two]).toEqual([10, 10]);
  });

  test("one whose task has moved to the other lane runs after the job that runs there", async ({ pair }) => {
    const gated = new Gated();
    const queue = await pair.work([gated.task]);
    const one = queue.with(options).submit(gated.task, 1);
    await gated.started.wait();
    const moved = { name: gated.task.task.name, module: import.meta.url, runsOn: "thread" } as const;
    const two = queue.with(options).submit(
      defineTask(moved, (n: number) => n),
      2,
    );
    for (let look = 0; look < 5; look++) await queue.counts(); // Time for its submitter to find the running job.
    gated.open(1);
    expect(await one).toBe(10);
    await two.sent();
    expect(two.id).toMatch(/^thread\./);
    gated.open(2);
    expect(await two).toBe(20);
  });
});
