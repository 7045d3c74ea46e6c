import { randomUUID } from "node:crypto";
import {
  CancelledError,
  Event,
  TimeoutError,
  asCompleted,
  coroutine,
  createTask,
  gather,
  run,
  shield,
  sleep,
  taskGroup,
  timeout,
  wait,
  waitFor,
} from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { toThread } from "@taskloom/offload";
import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
import { describe, expect, test } from "vitest";

/** A RemoteTask is a Task: what holds for one holds for the other, on the engine that shows it quickest. */
const started = new Map<string, Event>();
const ended: string[] = [];
const work = defineTask({ name: "task.work" }, async (label: string, milliseconds: number) => {
  started.get(label)?.set();
  try {
    await sleep(milliseconds);
    return label;
  } finally {
    ended.push(label);
  }
});
const fail = defineTask({ name: "task.fail" }, async (message: string): Promise<never> => {
  await sleep(1);
  throw new RangeError(message);
});

function inVirtualTime<T>(body: (queue: TaskQueue) => Promise<T>): Promise<T> {
  ended.length = 0;
  started.clear();
  return run(
    async () => {
      const engine = `memory:${randomUUID()}`;
      const worker = new TaskWorker({ engine, tasks: [work, fail] });
      const running = worker.run();
      await worker.ready();
      await using queue = new TaskQueue({ engine });
      const result = await body(queue);
      running.cancel();
      await running.catch(() => {});
      return result;
    },
    { clock: virtualClock() },
  );
}

describe("a RemoteTask under", () => {
  test("gather keeps its place, and a failure is the gather's", async () => {
    await inVirtualTime(async (queue) => {
      expect(await gather([queue.submit(work, "slow", 50), queue.submit(work, "quick", 5)])).toEqual([
        "slow",
        "quick",
      ]);
      await expect(gather([queue.submit(work, "a", 5), queue.submit(fail, "no")])).rejects.toThrow(
        RangeError,
      );
    });
  });

  test("gather, cancelled: its jobs are cancelled where they run", async () => {
    await inVirtualTime(async (queue) => {
      const both = gather([queue.submit(work, "one", 1_000), queue.submit(work, "two", 1_000)]);
      const start = new Event();
      started.set("two", start);
      await start.wait();
      both.cancel();
      await expect(both).rejects.toThrow(CancelledError);
      expect(ended.toSorted()).toEqual(["one", "two"]);
    });
  });

  test("wait is done or pending", async () => {
    await inVirtualTime(async (queue) => {
      const quick = queue.submit(work, "quick", 5);
      const slow = queue.submit(work, "slow", 500);
      const { done, pending } = await wait([quick, slow], { returnWhen: "FIRST_COMPLETED" });
      expect([done.size, done.has(quick), pending.size, pending.has(slow)]).toEqual([1, true, 1, true]);
      expect(await slow).toBe("slow");
    });
  });

  test("waitFor and timeout is cancelled at the end of its time", async () => {
    await inVirtualTime(async (queue) => {
      await expect(waitFor(queue.submit(work, "a", 1_000), 10)).rejects.toThrow(TimeoutError);
      await expect(timeout(10, async () => await queue.submit(work, "b", 1_000))).rejects.toThrow(
        TimeoutError,
      );
      expect(ended).toEqual(["a", "b"]);
    });
  });

  test("shield goes on when who waits is cancelled", async () => {
    await inVirtualTime(async (queue) => {
      const task = queue.submit(work, "shielded", 100);
      const waiting = createTask(async () => await shield(task));
      await sleep(10);
      waiting.cancel();
      await expect(waiting).rejects.toThrow(CancelledError);
      expect(await task).toBe("shielded");
    });
  });

  test("asCompleted comes in the order of its end", async () => {
    await inVirtualTime(async (queue) => {
      const order: unknown[] = [];
      const tasks = [30, 10, 20].map((milliseconds) =>
        queue.submit(work, String(milliseconds), milliseconds),
      );
      for await (const next of asCompleted(tasks)) order.push(await next);
      expect(order).toEqual(["10", "20", "30"]);
    });
  });

  test("taskGroup is cancelled with its siblings", async () => {
    await inVirtualTime(async (queue) => {
      const group = taskGroup(async (tasks) => {
        tasks.createTask(async () => await queue.submit(work, "sibling", 1_000));
        tasks.createTask(async () => await queue.submit(fail, "the group's"));
      });
      await expect(group).rejects.toThrow(AggregateError);
      expect(ended).toEqual(["sibling"]);
    });
  });

  test("a generator coroutine is awaited and cancelled there, too", async () => {
    await inVirtualTime(async (queue) => {
      const both = coroutine(function* (): Generator<unknown, string[], never> {
        const first = yield* queue.submit(work, "first", 5);
        const second = yield* queue.submit(work, "second", 5);
        return [first, second];
      });
      expect(await both()).toEqual(["first", "second"]);
      const caught = coroutine(function* (): Generator<unknown, string, never> {
        try {
          yield* queue.submit(work, "long", 1_000);
        } catch (error) {
          return (error as Error).message;
        }
        return "not cancelled";
      });
      const task = createTask(caught());
      await sleep(10);
      task.cancel("by its name");
      expect(await task).toBe("by its name");
      expect(ended).toContain("long");
    });
  });

  test("done callbacks, names and states are a task's", async () => {
    await inVirtualTime(async (queue) => {
      const task = queue.submit(work, "called", 5);
      const told: unknown[] = [];
      task.addDoneCallback((done) => told.push(done === task));
      expect(task.done()).toBe(false);
      expect(task.getName()).toBe(task.id);
      await task;
      await sleep(0);
      expect([told, task.done(), task.cancelled(), task.result()]).toEqual([[true], true, false, "called"]);
    });
  });

  test("one expression with a local task and one on a thread", async () => {
    await run(async () => {
      const engine = `memory:${randomUUID()}`;
      const worker = new TaskWorker({ engine, tasks: [work] }).run();
      await using queue = new TaskQueue({ engine });
      const results = await gather([
        createTask(async () => await sleep(5, "here")),
        toThread((n: number) => n * 2, 21),
        queue.submit(work, "on a worker", 5),
      ]);
      expect(results).toEqual(["here", 42, "on a worker"]);
      worker.cancel();
      await worker.catch(() => {});
    });
  });
});
