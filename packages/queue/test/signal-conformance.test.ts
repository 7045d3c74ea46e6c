import { CancelledError, sleep } from "@taskloom/loop";
import { TaskOptionsError, TaskQueue, TaskWorker, call, defineTask } from "@taskloom/queue";
import type { SubmitOptions, TaskOptions } from "@taskloom/queue";
import { describe, expect, test as plain } from "vitest";
import { stores } from "./engines.ts";

const stopped: string[] = [];
const long = defineTask({ name: "signal.long" }, async (name: string) => {
  try {
    await sleep(60_000);
  } catch (error) {
    stopped.push(`${name}: ${(error as Error).message}`);
    throw error;
  }
});
const quick = defineTask({ name: "signal.quick" }, async () => 7);
const slowly: TaskOptions<[string]>["args"] = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate: async (value) => {
      await sleep(20);
      return { value: value as [string] };
    },
  },
};
const checked = defineTask({ name: "signal.checked", args: slowly }, async (name: string) => name);

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const read: T[] = [];
  for await (const item of items) read.push(item);
  return read;
}

describe.each(stores)("on $name", ({ test }) => {
  test("an abort cancels a job that runs, one that waits, the jobs of a map, and a flow", async ({
    engine,
  }) => {
    const name = `signal-${Math.random().toString(36).slice(2)}`;
    await using queue = new TaskQueue({ engine, name });
    const worker = new TaskWorker({ engine, queues: [name], tasks: [long, quick], concurrency: 2 }).run();
    const controller = new AbortController();
    const { signal } = controller;
    const running = queue.with({ signal }).submit(long, `${name} runs`);
    await expect.poll(() => running.state()).toBe("active");
    const later = queue.with({ signal, delay: 60_000 }).submit(long, "never");
    await later.sent();
    const mapped = all(queue.with({ signal }).map(long, [`${name} mapped`]));
    mapped.catch(() => {});
    const flow = queue.flow(call(quick), [call(long, "never")], { signal });
    const ended = queue.with({ signal }).submit(quick);
    controller.abort(new Error("the client has left"));
    for (const work of [running, later, mapped, flow])
      await expect(work).rejects.toEqual(new CancelledError("the client has left"));
    await expect.poll(() => stopped).toContain(`${name} runs: the client has left`);
    expect(await queue.attach(running.id).state()).toBe("cancelled");
    await Promise.allSettled([ended]);
    worker.cancel();
  });
});

plain("a signal that was aborted before cancels the job before it is stored", async () => {
  await using queue = new TaskQueue({ engine: "memory:signal" });
  const aborted = queue.with({ signal: AbortSignal.abort(new Error("too late")) });
  for (const job of [aborted.submit(quick), aborted.submit(checked, "a")])
    await expect(job).rejects.toEqual(new CancelledError("too late"));
  await expect(all(aborted.map(checked, ["a"]))).rejects.toThrow("too late");
  expect(await queue.counts()).toMatchObject({ waiting: 0, active: 0, delayed: 0 });
});

plain("a job that has ended no longer listens to its signal", async () => {
  await using queue = new TaskQueue({ engine: "memory:signal-ends" });
  const worker = new TaskWorker({ engine: "memory:signal-ends", tasks: [quick] }).run();
  const { signal } = new AbortController();
  let listeners = 0;
  const counted = new Proxy(signal, {
    get: (target, property) => {
      if (property === "addEventListener") listeners++;
      if (property === "removeEventListener") listeners--;
      const value: unknown = Reflect.get(target, property);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
  expect(await queue.with({ signal: counted }).submit(quick)).toBe(7);
  expect(listeners).toBe(0);
  worker.cancel();
});

plain("a signal is refused where no single job would be cancelled by it", async () => {
  await using queue = new TaskQueue({ engine: "memory:signal" });
  const { signal } = new AbortController();
  const schedule = queue.with({ signal }).schedule("nightly", { every: 60_000 }, quick);
  await expect(schedule).rejects.toThrow("Expected a schedule to have no `signal`");
  expect(() => call(quick).with({ signal })).toThrow("Expected a call in a flow to have no `signal`");
  expect(() => queue.with({ signal: "now" } as unknown as SubmitOptions)).toThrow(TaskOptionsError);
});
