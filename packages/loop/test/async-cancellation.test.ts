import { setImmediate as immediate } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  CancelledError,
  coroutine,
  createTask,
  currentTask,
  getRunningLoop,
  Lock,
  Queue,
  run,
  sleep,
  taskGroup,
  timeout,
  TimeoutError,
  wait,
  waitFor,
} from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";

const virtually = <T>(main: () => Promise<T>): Promise<T> => run(main, { clock: virtualClock() });

/** Returns the end of a task in a word. */
function outcome(task: Task<unknown>): string {
  if (!task.done()) return "pending";
  if (task.cancelled()) return "cancelled";
  const error = task.exception();
  return error === undefined ? `result ${String(task.result())}` : `error ${(error as Error).message}`;
}

async function ended(task: [Task<unknown>]): Promise<string> {
  await wait(task);
  return outcome(task[0]);
}

/** The ways to call a body. An `async` body ends each of them without a suspension. */
const calls: [string, <T>(body: () => Promise<T>) => PromiseLike<T>][] = [
  ["timeout", (body) => timeout(1000, body)],
  ["waitFor", (body) => waitFor(body, 1000)],
  ["taskGroup", (body) => taskGroup(body)],
  ["coroutine", (body) => coroutine(body)()],
  ["Lock.with", (body) => new Lock().with(body)],
  ["a group in a timeout", (body) => timeout(1000, async () => await taskGroup(body))],
  ["a plain helper", (body) => body()],
];

// ---- an error at the end ---------------------------------------------------------------------------

test.each(calls)(
  "an error that ends the body of %s stands against a pending cancellation",
  async (_, call) => {
    await virtually(async () => {
      const gate = Promise.withResolvers<void>();
      const task = createTask(async () => {
        await call(async () => {
          await gate.promise;
        });
      });
      await immediate();
      await immediate();
      task.cancel();
      gate.reject(new Error("the database said no"));
      expect(await ended([task])).toMatch(/^error (the database said no|unhandled errors in a TaskGroup)/);
    });
  },
);

test("a generator that called an async function gets its error, not the pending cancellation", async () => {
  await virtually(async () => {
    const gate = Promise.withResolvers<void>();
    const caught: string[] = [];
    const call = coroutine(async () => await gate.promise);
    const task = createTask(function* () {
      try {
        yield* call();
      } catch (error) {
        caught.push((error as Error).message);
      }
      yield* sleep(5);
    });
    await immediate();
    await immediate();
    task.cancel("stop");
    gate.reject(new Error("no"));
    expect(await ended([task])).toBe("cancelled");
    expect(caught).toEqual(["no"]);
    expect(getRunningLoop().time()).toBe(0);
  });
});

// ---- a value at the end ----------------------------------------------------------------------------

test.each(calls)(
  "a value that the body of %s has got is not lost to a cancel in the same turn",
  async (_, call) => {
    await virtually(async () => {
      const queue = new Queue<number>();
      const seen: number[] = [];
      const consumer = createTask(async () => {
        seen.push(await call(async () => await queue.get()));
        await sleep(100);
      });
      await sleep(1);
      const canceller = createTask(async () => {
        await queue.get();
        consumer.cancel("enough");
      });
      await sleep(1);
      queue.putNowait(1);
      queue.putNowait(2);
      await wait([consumer, canceller]);
      expect(seen).toEqual([1]);
      expect(outcome(consumer)).toBe("cancelled");
      // The cancellation is thrown at the sleep, at once.
      expect(getRunningLoop().time()).toBe(2);
    });
  },
);

test.each(calls)("a task that only awaits %s keeps its result in that case", async (_, call) => {
  await virtually(async () => {
    const queue = new Queue<string>();
    const consumer = createTask(async () => await call(async () => await queue.get()));
    await sleep(1);
    const canceller = createTask(async () => {
      await queue.get();
      consumer.cancel();
    });
    await sleep(1);
    queue.putNowait("item");
    queue.putNowait("signal");
    await wait([consumer, canceller]);
    expect(outcome(consumer)).toBe("result item");
    expect(consumer.cancelling()).toBe(1);
  });
});

test("a lock that a scope's body has taken is not held by nobody after a cancel in the same turn", async () => {
  await virtually(async () => {
    const lock = new Lock();
    const go = new Queue<number>();
    await lock.acquire();
    const holder = createTask(async () => {
      using _held = await timeout(1000, async () => await lock.acquire());
      await sleep(100);
    });
    await sleep(1);
    const canceller = createTask(async () => {
      await go.get();
      holder.cancel();
    });
    await sleep(1);
    lock.release();
    go.putNowait(1);
    await wait([holder, canceller]);
    expect(outcome(holder)).toBe("cancelled");
    expect(lock.locked()).toBe(false);
  });
});

test("an item that is passed on without suspending arrives, although a cancellation is pending", async () => {
  await virtually(async () => {
    const from = new Queue<number>();
    const to = new Queue<number>();
    const mover = createTask(async () => {
      for (;;) await to.put(await from.get());
    });
    await sleep(1);
    const canceller = createTask(async () => {
      await from.get();
      mover.cancel();
    });
    await sleep(1);
    from.putNowait(1);
    from.putNowait(2);
    await wait([mover, canceller]);
    expect(outcome(mover)).toBe("cancelled");
    expect(to.getNowait()).toBe(1);
  });
});

test("a cancellation during native work: thrown at the next await of ours, which does not start", async () => {
  await virtually(async () => {
    const gate = Promise.withResolvers<string>();
    const steps: string[] = [];
    const queue = new Queue<string>();
    const task = createTask(async () => {
      steps.push(await gate.promise);
      await queue.put("not reached");
    });
    await immediate();
    await immediate();
    task.cancel();
    gate.resolve("native is over");
    expect(await ended([task])).toBe("cancelled");
    expect(steps).toEqual(["native is over"]);
    expect(queue.qsize()).toBe(0);
  });
});

test("a cancellation during native work after which the function returns ends the task as cancelled", async () => {
  await virtually(async () => {
    const gate = Promise.withResolvers<string>();
    const task = createTask(async () => await gate.promise);
    await immediate();
    await immediate();
    task.cancel("late");
    gate.resolve("value");
    await expect(task).rejects.toThrow("late");
    expect(task.cancelled()).toBe(true);
  });
});

test("a deadline that passes during native work counts when the body has ended, unless with an error", async () => {
  await virtually(async () => {
    const body = async (end: () => string) => {
      await immediate();
      await immediate();
      return end();
    };
    const fails = (): string => {
      throw new RangeError("no");
    };
    await expect(timeout(0, () => body(() => "late"))).rejects.toBeInstanceOf(TimeoutError);
    await expect(timeout(0, () => body(fails))).rejects.toBeInstanceOf(RangeError);
    const generator = createTask(function* () {
      yield* timeout(0, () => body(() => "late"));
    });
    await expect(generator).rejects.toBeInstanceOf(TimeoutError);
    const controller = new AbortController();
    const { signal } = controller;
    const outcomes = Promise.allSettled([timeout(null, () => body(() => "late"), { signal })]);
    await immediate();
    controller.abort(new Error("given up"));
    expect((await outcomes)[0]).toMatchObject({ status: "rejected", reason: { message: "given up" } });
    expect(currentTask()!.cancelling()).toBe(0);
  });
});

// ---- counts ----------------------------------------------------------------------------------------

const deadlines: [string, (body: () => Promise<unknown>) => PromiseLike<unknown>][] = [
  ["timeout", (body) => timeout(10, body)],
  ["waitFor", (body) => waitFor(body, 10)],
  [
    "taskGroup",
    (body) =>
      taskGroup(async (group) => {
        group.createTask(async () => {
          await sleep(10);
          throw new Error("child");
        });
        await body();
      }),
  ],
];

test.each(deadlines)(
  "cancelling() is 1 while %s cancels its async body, inside and outside",
  async (_, scope) => {
    await virtually(async () => {
      const counts: unknown[] = [];
      const task = createTask(async () => {
        await Promise.resolve(
          scope(async () => {
            try {
              await sleep(1000);
            } finally {
              counts.push(currentTask()!.cancelling());
              await sleep(10);
            }
          }),
        ).catch((error: unknown) => counts.push((error as Error).constructor.name));
        counts.push(currentTask()!.cancelling());
      });
      await sleep(15);
      expect(task.cancelling()).toBe(1);
      await task;
      const name = scope === deadlines[2]![1] ? "AggregateError" : "TimeoutError";
      expect(counts).toEqual([1, name, 0]);
    });
  },
);

test("asyncio's idiom tells a child's cancellation from the deadline's", async () => {
  await virtually(async () => {
    const body = async (cancelChild: boolean) => {
      const child = createTask(sleep(1000));
      if (cancelChild) child.cancel();
      try {
        await child;
      } catch (error) {
        if (error instanceof CancelledError && currentTask()!.cancelling() === 0) return "the child's";
        throw error;
      }
      return "no cancellation";
    };
    expect(await timeout(10, () => body(true))).toBe("the child's");
    await expect(timeout(10, () => body(false))).rejects.toBeInstanceOf(TimeoutError);
  });
});

test.each([
  ["inside", (task: Task<unknown>) => currentTask() === task],
  ["outside", () => false],
])("uncancel() from %s takes the scope's request back, once", async (where) => {
  await virtually(async () => {
    const results: unknown[] = [];
    const task = createTask(async () => {
      await timeout(10, async (scope) => {
        try {
          await sleep(1000);
        } catch {
          if (where === "inside") results.push(currentTask()!.uncancel());
          else await sleep(10);
        }
        results.push(currentTask()!.cancelling(), scope.expired());
      });
      results.push(currentTask()!.cancelling());
    });
    await sleep(15);
    if (where === "outside") results.push(task.uncancel());
    await task;
    expect(results).toEqual([0, 0, true, 0]);
  });
});

test("requests from outside and of a scope are counted together, and withdrawn innermost first", async () => {
  await virtually(async () => {
    const counts: number[] = [];
    const task = createTask(async () => {
      try {
        await timeout(10, async () => {
          try {
            await sleep(1000);
          } catch {
            await sleep(10).catch(() => {});
            counts.push(currentTask()!.cancelling(), currentTask()!.uncancel(), currentTask()!.uncancel());
          }
        });
      } finally {
        counts.push(currentTask()!.cancelling());
      }
    });
    await sleep(15);
    task.cancel();
    counts.push(task.cancelling());
    await task;
    expect(counts).toEqual([2, 2, 1, 0, 0]);
  });
});

test("in a Promise.all a branch counts the requests around it, and the task all of them", async () => {
  await virtually(async () => {
    const counts: number[] = [];
    const branch = (ms: number) =>
      timeout(ms, async () => {
        try {
          await sleep(1000);
        } finally {
          await sleep(10);
          counts.push(currentTask()!.cancelling());
        }
      });
    const task = createTask(async () => await Promise.allSettled([branch(10), branch(10), branch(100)]));
    await sleep(15);
    expect(task.cancelling()).toBe(2);
    await task;
    expect(counts).toEqual([1, 1, 1]);
    expect(task.cancelling()).toBe(0);
  });
});

// ---- a task that cancels itself --------------------------------------------------------------------

test("a task that cancels itself and returns: every waiter receives the message", async () => {
  await virtually(async () => {
    const task = createTask(async () => {
      currentTask()!.cancel("by itself");
      return "lost on purpose";
    });
    for (let i = 0; i < 3; i++) await expect(task).rejects.toThrow("by itself");
    expect(task.cancelled()).toBe(true);
  });
});

test("a task that cancels itself: calls that do not suspend go on, the first suspension throws", async () => {
  await virtually(async () => {
    const queue = new Queue<number>();
    const task = createTask(async () => {
      currentTask()!.cancel("by itself");
      await queue.put(1);
      await timeout(10, async () => await queue.put(2));
      await sleep(0);
      await queue.put(3);
    });
    await expect(task).rejects.toThrow("by itself");
    expect(queue.qsize()).toBe(2);
  });
});

test("a task that cancels itself, uncancels and returns has its result", async () => {
  await virtually(async () => {
    const task = createTask(async () => {
      currentTask()!.cancel();
      return currentTask()!.uncancel();
    });
    expect(await task).toBe(0);
  });
});

// ---- disposal --------------------------------------------------------------------------------------

/** Returns a resource whose disposal takes 10 ms and then calls `end`. */
function slow(end: () => void = () => {}): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      await sleep(10);
      end();
    },
  };
}

async function cancelledTwice(body: () => Promise<void>): Promise<[Task<void>]> {
  const task = createTask(body);
  await sleep(5);
  task.cancel("first");
  await sleep(5);
  task.cancel("second");
  await wait([task]);
  return [task];
}

test("two cancellations during the disposal of `await using` end the task as cancelled, by the second", async () => {
  await virtually(async () => {
    const [task] = await cancelledTwice(async () => {
      await using _first = slow();
      await using _second = slow();
      await sleep(1000);
    });
    expect(task.cancelled()).toBe(true);
    await expect(task).rejects.toThrow("second");
    // The first resource was disposed of as well: the second cancellation did not shorten its 10 ms.
    expect(getRunningLoop().time()).toBe(20);
  });
});

test("the same in a scope: a timeout is a TimeoutError, and a cancellation from outside stays one", async () => {
  await virtually(async () => {
    await expect(
      timeout(10, async () => {
        await using _resource = slow(() => {
          throw new CancelledError("again");
        });
        await sleep(1000);
      }),
    ).rejects.toBeInstanceOf(TimeoutError);
    const [task] = await cancelledTwice(async () => {
      await timeout(1000, async () => {
        await using _resource = slow();
        await sleep(1000);
      });
    });
    expect(task.cancelled()).toBe(true);
  });
});

test("an error beside a cancellation in the disposal is not hidden", async () => {
  await virtually(async () => {
    const [failed] = await cancelledTwice(async () => {
      await using _resource = slow(() => {
        throw new Error("disposal");
      });
      await sleep(1000).catch(() => {
        throw new Error("body");
      });
    });
    expect(failed.cancelled()).toBe(false);
    const error = failed.exception() as SuppressedError;
    expect(error.name).toBe("SuppressedError");
    expect([error.error, error.suppressed].map(String)).toEqual(["CancelledError: second", "Error: body"]);
  });
});
