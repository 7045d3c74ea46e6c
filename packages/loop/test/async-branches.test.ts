import { setImmediate as immediate } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  CancelledError,
  coroutine,
  createTask,
  currentTask,
  getEventLoop,
  getRunningLoop,
  Queue,
  run,
  sleep,
  timeout,
  TimeoutError,
} from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";

// A scope requests the cancellation of its `async` body at different moments. A scope that an `async`
// function awaits is a branch of the task, which counts and keeps its own requests.

const virtually = <T>(main: () => Promise<T>): Promise<T> => run(main, { clock: virtualClock() });

/**
 * Returns a future that is set at 10 ms. `then` runs in the same iteration, and `soon` in the iteration in
 * which the waiter continues.
 */
function at10<T>(value: T, then: () => void, soon?: () => void): PromiseLike<T> {
  const loop = getRunningLoop();
  const future = loop.createFuture<T>();
  loop.callLater(10, () => {
    future.setResult(value);
    then();
    if (soon !== undefined) loop.callSoon(soon);
  });
  return future;
}

const nothing = (): void => {};

test("after the wake-up and before the step: the step throws, once", async () => {
  await virtually(async () => {
    const steps: unknown[] = [];
    const scope = timeout(1000, async (own) => {
      try {
        await at10("woken", () => own.reschedule(0));
        // The new deadline passes an iteration later, when the function continues.
        await sleep(100);
      } catch (error) {
        steps.push((error as Error).name, currentTask()!.cancelling());
        await sleep(5);
        steps.push("cleaned up");
        throw error;
      }
    });
    await expect(scope).rejects.toBeInstanceOf(TimeoutError);
    expect(steps).toEqual(["CancelledError", 1, "cleaned up"]);
    expect(getRunningLoop().time()).toBe(15);
  });
});

test("a routine that a scope runs is woken and cancelled at once: it throws", async () => {
  await virtually(async () => {
    const controller = new AbortController();
    const woken = at10("woken", () => controller.abort(new Error("now")));
    const scope = timeout(null, woken, { signal: controller.signal });
    await expect(scope).rejects.toMatchObject({ name: "CancelledError", message: "now" });
  });
});

test("the same when another branch of the task has just gone on", async () => {
  await virtually(async () => {
    const controller = new AbortController();
    const future = getRunningLoop().createFuture<string>();
    const woken = at10("other", nothing, () => {
      future.setResult("woken");
      controller.abort(new Error("now"));
    });
    const scope = timeout(null, future, { signal: controller.signal });
    const [other, own] = await Promise.allSettled([(async () => await woken)(), scope]);
    expect(other).toEqual({ status: "fulfilled", value: "other" });
    expect(own).toMatchObject({ status: "rejected", reason: { name: "CancelledError", message: "now" } });
  });
});

test("after the wake-up and the step: calls go on, the next suspension throws, with the message", async () => {
  await virtually(async () => {
    const queue = new Queue<number>();
    const controller = new AbortController();
    const steps: unknown[] = [];
    const body = async () => {
      steps.push(await at10("woken", nothing, () => controller.abort(new Error("late"))));
      await queue.put(1);
      steps.push("put");
      await sleep(100).catch((error: unknown) => {
        steps.push(`${(error as Error).name} ${(error as Error).message}`);
      });
      await sleep(1);
      steps.push("only once");
    };
    await timeout(null, body, { signal: controller.signal });
    expect(steps).toEqual(["woken", "put", "CancelledError late", "only once"]);
    expect(getRunningLoop().time()).toBe(11);
    expect(currentTask()!.cancelling()).toBe(0);
  });
});

test.each([
  ["an async function", (body: () => Promise<string>) => async () => await timeout(1000, body)],
  [
    "a generator",
    (body: () => Promise<string>) =>
      function* () {
        return yield* timeout(1000, body);
      },
  ],
])(
  "after the end of a body and before the turn of %s that called it: the result stays",
  async (_, caller) => {
    await virtually(async () => {
      const loop = getRunningLoop();
      const cancel = (): void => void task.cancel();
      const woken = at10("value", nothing, () => loop.callSoon(cancel));
      const task = createTask<string>(caller(async () => await woken));
      expect(await task).toBe("value");
      expect(task.cancelling()).toBe(1);
    });
  },
);

test("during native work in a scope, after which everything returns: cancelled", async () => {
  await virtually(async () => {
    const gate = Promise.withResolvers<string>();
    const task = createTask(async () => await timeout(null, async () => await gate.promise));
    await immediate();
    await immediate();
    task.cancel("native");
    gate.resolve("value");
    await expect(task).rejects.toThrow("native");
  });
});

test("requests of scopes within each other are counted together from outside, and withdrawn", async () => {
  await virtually(async () => {
    const stubborn = async () => {
      for (let i = 0; i < 3; i++) await sleep(1000).catch(nothing);
    };
    const task = createTask(
      async () =>
        await timeout(10, async () => {
          await sleep(1000).catch(nothing);
          await timeout(5, stubborn);
        }),
    );
    await sleep(12);
    expect(task.cancelling()).toBe(1);
    task.cancel();
    expect(task.cancelling()).toBe(2);
    await sleep(5);
    expect(task.cancelling()).toBe(3);
    expect([1, 2, 3, 4].map(() => task.uncancel())).toEqual([2, 1, 0, 0]);
    task.cancel();
    await task.catch(nothing);
  });
});

test("during native work: the next await of ours throws and does not start", async () => {
  await virtually(async () => {
    const queue = new Queue<number>();
    const controller = new AbortController();
    const gate = Promise.withResolvers<void>();
    const steps: string[] = [];
    const scope = createTask(
      async () =>
        await timeout(
          null,
          async () => {
            await gate.promise;
            try {
              await queue.put(1);
            } finally {
              await sleep(5);
              steps.push("cleaned up");
            }
          },
          { signal: controller.signal },
        ),
    );
    const outside = createTask(async () => {
      await immediate();
      await immediate();
      controller.abort(new Error("meanwhile"));
      gate.resolve();
    });
    await outside;
    await expect(scope).rejects.toMatchObject({ name: "CancelledError", message: "meanwhile" });
    expect(queue.qsize()).toBe(0);
    expect(steps).toEqual(["cleaned up"]);
  });
});

test("a request that the end of its scope makes void is not thrown afterwards; another's is", async () => {
  await virtually(async () => {
    const nested = (alsoOuter: boolean) => {
      const inner = new AbortController();
      const outer = new AbortController();
      return timeout(
        null,
        function* () {
          const value = yield* timeout(
            null,
            async () =>
              await at10("value", nothing, () => {
                if (alsoOuter) outer.abort(new Error("outer"));
                inner.abort(new Error("inner"));
              }),
            { signal: inner.signal },
          );
          yield* sleep(5);
          return value;
        },
        { signal: outer.signal },
      );
    };
    expect(await nested(false)).toBe("value");
    await expect(nested(true)).rejects.toBeInstanceOf(CancelledError);
    expect(currentTask()!.cancelling()).toBe(0);
    await sleep(1);
  });
});

test("a helper that outlives the scope it was started in belongs to what is around the scope", async () => {
  await virtually(async () => {
    const caught: unknown[] = [];
    const helper = async () => {
      await sleep(5);
      await sleep(1000).catch((error: unknown) => caught.push((error as Error).message));
    };
    const task = createTask(async () => {
      let started: Promise<void> | undefined;
      await timeout(1000, async () => {
        started = helper();
        await sleep(1);
      });
      await started;
    });
    await sleep(10);
    expect(task.cancel("stop")).toBe(true);
    await task.catch(nothing);
    expect(caught).toEqual(["stop"]);
    expect(getRunningLoop().time()).toBe(10);
  });
});

test("outside any task an await of sleep(0) takes an iteration of the default loop", async () => {
  const before = getEventLoop()._iterations;
  await sleep(0);
  expect(getEventLoop()._iterations).toBeGreaterThan(before);
});

// ---- what an `async` function waits for ------------------------------------------------------------

/** Returns whether virtual time does not pass while the running function awaits a native promise. */
async function timeStands(): Promise<boolean> {
  const other = createTask(sleep(1000));
  await sleep(1);
  const before = getRunningLoop().time();
  for (let i = 0; i < 10; i++) await immediate();
  other.cancel();
  return getRunningLoop().time() === before;
}

test("a cancellation reaches the await that is left of two, whichever began first", async () => {
  await virtually(async () => {
    for (const times of [
      [5, 1000],
      [1000, 5],
    ]) {
      const started = getRunningLoop().time();
      const task = createTask(async () => await Promise.all(times.map(async (ms) => await sleep(ms))));
      await sleep(10);
      task.cancel();
      await expect(task).rejects.toBeInstanceOf(CancelledError);
      expect(getRunningLoop().time() - started).toBe(10);
    }
  });
});

test("time stands still during native work, whatever the task has awaited before", async () => {
  await virtually(async () => {
    expect(await timeStands()).toBe(true);
    await Promise.all([sleep(5), sleep(10)]);
    expect(await timeStands()).toBe(true);
    await Promise.all([sleep(10), sleep(5)]);
    expect(await timeStands()).toBe(true);
    let outliving: Promise<unknown> | undefined;
    await timeout(1000, async () => {
      outliving = (async () => await sleep(5))();
      await sleep(1);
    });
    await outliving;
    expect(await timeStands()).toBe(true);
  });
});

test("a promise of somebody else that was given up no longer holds time, nor when it settles after all", async () => {
  await virtually(async () => {
    const gate = Promise.withResolvers<void>();
    const waiting = createTask(gate.promise);
    await immediate();
    await immediate();
    waiting.cancel("given up");
    await expect(waiting).rejects.toThrow("given up");
    await sleep(10);
    expect(getRunningLoop().time()).toBe(10);
    gate.resolve();
    await immediate();
    expect(await timeStands()).toBe(true);
  });
});

test("a task that a promise has woken and that is cancelled before its step is cancelled", async () => {
  await virtually(async () => {
    const gate = Promise.withResolvers<string>();
    const waiting = createTask(gate.promise);
    await immediate();
    await immediate();
    gate.resolve("value");
    await gate.promise;
    expect(waiting.cancel("in time")).toBe(true);
    await expect(waiting).rejects.toThrow("in time");
  });
});

test("the end of an async task takes no iteration, the end of a call one", async () => {
  await virtually(async () => {
    const loop = getRunningLoop();
    const seen: number[] = [];
    const before = loop._iterations;
    const task = createTask(async () => {
      seen.push(loop._iterations - before);
    });
    task.addDoneCallback(() => seen.push(loop._iterations - before));
    await task;
    expect(seen).toEqual([1, 2]);

    const steps: string[] = [];
    const other = createTask(async () => void steps.push("other"));
    await coroutine(async () => {})();
    steps.push("back");
    await other;
    expect(steps).toEqual(["other", "back"]);
  });
});
