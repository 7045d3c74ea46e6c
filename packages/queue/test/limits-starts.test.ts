import { getEventLoop, run, sleep } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
import { expect, test, vi } from "vitest";

const SECOND = 1_000;

test("in virtual time a rate lets exactly `max` jobs start in any window, in their order", async () => {
  const starts: [n: number, at: number][] = [];
  const task = defineTask(
    { name: "starts.rate", rateLimit: { max: 2, duration: SECOND } },
    async (n: number, ms: number) => {
      starts.push([n, getEventLoop().time()]);
      await sleep(ms);
    },
  );
  await run(
    async () => {
      await using queue = new TaskQueue({ engine: "memory:starts" });
      await using worker = new TaskWorker({ engine: "memory:starts", tasks: [task], concurrency: 10 });
      worker.run();
      const begin = getEventLoop().time();
      const tasks = [queue.submit(task, 0, 0)];
      await sleep(700);
      for (let n = 1; n < 6; n++) tasks.push(queue.submit(task, n, 5 * SECOND));
      await Promise.all(tasks);
      for (const start of starts) start[1] -= begin;
    },
    { clock: virtualClock() },
  );
  expect(starts.map(([n]) => n)).toEqual([0, 1, 2, 3, 4, 5]);
  const times = starts.map(([, at]) => Math.round(at));
  // The slot of each start is free again one second later, and not at the end of a fixed window.
  expect(times).toEqual([0, 700, 1_000, 1_700, 2_000, 2_700]);
});

test("the hooks of a worker are notified of the starts of limited jobs, and not of their parking", async () => {
  const started: string[] = [];
  const waited: number[] = [];
  const task = defineTask({ name: "starts.hooks", concurrency: 1 }, async (name: string) => {
    await sleep(SECOND);
    return name;
  });
  await run(
    async () => {
      await using queue = new TaskQueue({ engine: "memory:hooks" });
      await using worker = new TaskWorker({
        engine: "memory:hooks",
        tasks: [task],
        concurrency: 10,
        onStart: ({ args, attempt, waited: time }) => {
          started.push(`${String(args[0])} ${attempt}`);
          waited.push(Math.round(time / 100) * 100);
        },
      });
      worker.run();
      const tasks = ["a", "b", "c"].map((name) => queue.submit(task, name));
      await Promise.all(tasks);
      expect(tasks.map(({ attempts }) => attempts)).toEqual([1, 1, 1]);
    },
    { clock: virtualClock() },
  );
  expect(started).toEqual(["a 1", "b 1", "c 1"]);
  expect(waited).toEqual([0, SECOND, 2 * SECOND]);
});

test("a job of a task without limits asks the engine for none", async () => {
  const free = defineTask({ name: "starts.free", attempts: 2 }, async (n: number) => n);
  const limited = defineTask({ name: "starts.limited", concurrency: 1 }, async (n: number) => n);
  await using queue = new TaskQueue({ engine: "memory:free" });
  const { limits } = queue.engine;
  const calls = (["join", "ask", "release", "wake"] as const).map((name) => vi.spyOn(limits, name));
  await using worker = new TaskWorker({ engine: "memory:free", tasks: [free, limited] });
  worker.run();
  await Promise.all(Array.from({ length: 10 }, (_, n) => queue.submit(free, n)));
  await queue.map(free, [1, 2, 3]).toArray();
  expect(calls.map(({ mock }) => mock.calls.length)).toEqual([0, 0, 0, 0]);
  await queue.submit(limited, 1);
  expect(calls.map(({ mock }) => mock.calls.length)).toEqual([1, 1, 1, 0]);
});
