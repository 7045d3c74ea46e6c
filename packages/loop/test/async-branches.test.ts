import { setImmediate as immediate } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  CancelledError,
  createTask,
  currentTask,
  getRunningLoop,
  Queue,
  run,
  sleep,
  timeout,
  TimeoutError,
} from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";

// A scope's own request to cancel its `async` body, by when it comes: a scope that an `async` function awaits
// is a branch of the task, and counts and keeps its requests itself.

const virtually = <T>(main: () => Promise<T>): Promise<T> => run(main, { clock: virtualClock() });

/** A future that is set at 10 ms; `then` runs in the same iteration, `soon` in the one in which the waiter goes on. */
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
        // The deadline that was set there passes an iteration later, when the function goes on.
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

test("during native work: the next await of ours throws and does not start", async () => {
  await virtually(async () => {
    const queue = new Queue<number>();
    const controller = new AbortController();
    const gate = Promise.withResolvers<void>();
    const scope = createTask(() =>
      timeout(
        null,
        async () => {
          await gate.promise;
          await queue.put(1);
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
