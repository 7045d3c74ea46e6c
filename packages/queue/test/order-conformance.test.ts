import { sleep } from "@taskloom/loop";
import { call, defineTask } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { unsharded } from "./engines.ts";
import { pairTest } from "./pair.ts";
import type { Pair } from "./pair.ts";

/** A task that notes the order in which its jobs begin; those of `failing` fail in their first run. */
function noting(failing: readonly string[] = []) {
  const begun: string[] = [];
  const failed = new Set<string>();
  const task = defineTask({ name: "test.noting", attempts: 2 }, async (name: string) => {
    begun.push(name);
    if (failing.includes(name) && !failed.has(name)) {
      failed.add(name);
      throw new Error(`${name} fails once`);
    }
    return name;
  });
  return { task, begun };
}

/** A task whose jobs wait until they are stopped, as long as `isStopping`. */
function staying() {
  const begun: number[] = [];
  const state = { isStopping: true };
  const task = defineTask({ name: "test.staying" }, async (n: number) => {
    begun.push(n);
    if (state.isStopping) await sleep(600_000);
    return n;
  });
  return { task, begun, state };
}

async function submitted(pair: Pair, task: ReturnType<typeof noting>["task"], names: readonly string[]) {
  const tasks = names.map((name) => pair.queue.submit(task, name));
  await Promise.all(tasks.map((each) => each.sent()));
  return tasks;
}

describe.each(unsharded)("on $name", ({ name: engineName, test: engineTest }) => {
  const test = pairTest(engineTest);
  const isRedis = engineName.startsWith("redis");

  test("a stopping worker's jobs are next, in the order in which they began", async ({ pair }) => {
    const { task, begun, state } = staying();
    const tasks = Array.from({ length: 40 }, (_, n) => pair.queue.submit(task, n));
    await Promise.all(tasks.map((each) => each.sent()));
    for (const running of [1, 5]) {
      begun.length = 0;
      await pair.work([task], { concurrency: running, drain: 0 });
      await expect.poll(() => begun.length, { timeout: 10_000 }).toBe(running);
      await pair.stopWorkers();
    }
    begun.length = 0;
    state.isStopping = false;
    await pair.work([task], { concurrency: 1 });
    expect(await Promise.all(tasks)).toEqual(tasks.map((_, n) => n));
    expect(begun).toEqual(tasks.map((_, n) => n));
  });

  test("a stopping worker's jobs keep their priority", async ({ pair }) => {
    const { task, begun, state } = staying();
    const tasks = [3, 1, 2].map((priority) => pair.queue.with({ priority }).submit(task, priority));
    await Promise.all(tasks.map((each) => each.sent()));
    await pair.work([task], { concurrency: 2, drain: 0 });
    await expect.poll(() => begun, { timeout: 10_000 }).toEqual([1, 2]);
    await pair.stopWorkers();
    begun.length = 0;
    state.isStopping = false;
    await pair.work([task], { concurrency: 1 });
    await Promise.all(tasks);
    expect(begun).toEqual([1, 2, 3]);
  });

  test("a retry without back-off is last", async ({ pair }) => {
    const { task, begun } = noting(["a", "c"]);
    const tasks = await submitted(pair, task, ["a", "b", "c", "d"]);
    await pair.work([task], { concurrency: 1 });
    await Promise.all(tasks);
    expect(begun).toEqual(["a", "b", "c", "d", "a", "c"]);
  });

  test("a job that is retried by hand is last", async ({ pair }) => {
    const { task, begun } = noting();
    let fails = true;
    const once = defineTask({ name: "test.once" }, async () => {
      begun.push("once");
      if (fails) throw new Error("fails once");
    });
    const job = pair.queue.submit(once);
    await pair.work([once]);
    await expect(job).rejects.toThrow("fails once");
    await pair.stopWorkers();
    fails = false;
    const tasks = await submitted(pair, task, ["a", "b"]);
    const again = pair.queue.retry(job.id);
    await again.sent();
    await pair.work([task, once], { concurrency: 1 });
    await Promise.all([...tasks, again]);
    expect(begun).toEqual(["once", "a", "b", "once"]);
  });

  test("where the parent of a flow is put when its children have ended", async ({ pair }) => {
    const { task, begun } = noting();
    const flow = pair.queue.flow(call(task, "parent"), [call(task, "child")]);
    await flow.sent();
    const tasks = await submitted(pair, task, ["a", "b"]);
    await pair.work([task], { concurrency: 1 });
    await Promise.all([flow, ...tasks]);
    expect(begun).toEqual(isRedis ? ["child", "parent", "a", "b"] : ["child", "a", "b", "parent"]);
  });

  test("where a job is put that is due: docs/queue.md has the table", async ({ pair }) => {
    const { task, begun } = noting();
    const later = pair.queue.with({ delay: 60 }).submit(task, "due second");
    const sooner = pair.queue.with({ delay: 20 }).submit(task, "due first");
    await Promise.all([later.sent(), sooner.sent()]);
    const tasks = await submitted(pair, task, ["a", "b"]);
    await sleep(150); // Both are due, and no worker has looked.
    await pair.work([task], { concurrency: 1 });
    await Promise.all([later, sooner, ...tasks]);
    expect(begun).toEqual(
      isRedis ? ["a", "b", "due first", "due second"] : ["due second", "due first", "a", "b"],
    );
  });
});
