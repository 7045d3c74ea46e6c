import { expect, test } from "vitest";
import {
  coroutine,
  createTask,
  CancelledError,
  currentTask,
  gather,
  getRunningLoop,
  Lock,
  Queue,
  run,
  sleep,
  taskGroup,
  timeout,
  TimeoutError,
  waitFor,
} from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";

const virtual = {
  get clock() {
    return virtualClock();
  },
};

test("a main of either spelling runs, sleeps and returns", async () => {
  expect(
    await run(function* () {
      yield* sleep(5);
      return "generator";
    }, virtual),
  ).toBe("generator");
  expect(
    await run(async () => {
      await sleep(5);
      return "async";
    }, virtual),
  ).toBe("async");
});

test("coroutines of both spellings await each other in one task", async () => {
  const inner = coroutine(async (n: number) => {
    await sleep(n);
    return currentTask()?.getName();
  });
  const outer = coroutine(function* () {
    return yield* inner(3);
  });
  const names = await run(async () => [await outer(), await inner(1), currentTask()?.getName()], virtual);
  expect(new Set(names).size).toBe(1);
});

test("a timeout works in both spellings, and leaves other branches of a Promise.all alone", async () => {
  await run(async () => {
    await expect(timeout(5, () => sleep(1000))).rejects.toBeInstanceOf(TimeoutError);
    await expect(waitFor(sleep(1000), 5)).rejects.toBeInstanceOf(TimeoutError);
    const [late, fine] = await Promise.allSettled([
      timeout(5, async () => {
        await sleep(1000);
      }),
      (async () => {
        await sleep(50);
        return "fine";
      })(),
    ]);
    expect(late.status).toBe("rejected");
    expect(fine).toEqual({ status: "fulfilled", value: "fine" });
    expect(currentTask()?.cancelling()).toBe(0);
  }, virtual);
  await run(function* () {
    try {
      yield* timeout(5, function* () {
        yield* sleep(1000);
      });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(TimeoutError);
    }
    expect(getRunningLoop().time()).toBe(5);
  }, virtual);
});

test("a cancellation reaches every pending leaf under Promise.all", async () => {
  await run(async () => {
    const lock = new Lock();
    const seen: string[] = [];
    const leaf = async (name: string, ms: number) => {
      try {
        await sleep(ms);
      } catch (error) {
        seen.push(name);
        throw error;
      }
    };
    const task = createTask(async () => {
      await Promise.all([leaf("a", 1000), lock.with(() => leaf("b", 2000))]);
    });
    await sleep(1);
    task.cancel("stop");
    await expect(task).rejects.toThrow("stop");
    expect(task.cancelled()).toBe(true);
    expect(seen).toEqual(["a", "b"]);
    expect(lock.locked()).toBe(false);
  }, virtual);
});

test("queues, groups and gather work from async functions", async () => {
  await run(async () => {
    const queue = new Queue<number>(1);
    const total = await taskGroup(async (group) => {
      group.createTask(async () => {
        for (let i = 1; i <= 4; i++) await queue.put(i);
      });
      let sum = 0;
      for (let i = 0; i < 4; i++) sum += await queue.get();
      return sum;
    });
    expect(total).toBe(10);
    expect(await gather([sleep(2, "a"), async () => "b"])).toEqual(["a", "b"]);
  }, virtual);
});

test("outside any loop the default loop serves, started at that moment", async () => {
  const task = createTask(async () => {
    await sleep(1);
    return "served";
  });
  expect(await task).toBe("served");
  expect(await waitFor(sleep(1, "waited"), 1000)).toBe("waited");
  expect(() => getRunningLoop()).toThrow(/no running event loop/);
  const cancelled = createTask(sleep(1000));
  cancelled.cancel();
  await expect(cancelled).rejects.toBeInstanceOf(CancelledError);
});
