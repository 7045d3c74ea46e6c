import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate as immediate } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  asCompleted,
  asyncGenerator,
  CancelledError,
  coroutine,
  createTask,
  currentDeadline,
  currentTask,
  ensureFuture,
  Event,
  Future,
  fromSignal,
  gather,
  getRunningLoop,
  Lock,
  run,
  shield,
  sleep,
  StreamReader,
  taskGroup,
  timeout,
  TimeoutError,
  wait,
  waitFor,
} from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";

const virtually = <T>(main: () => Promise<T>): Promise<T> => run(main, { clock: virtualClock() });

/**
 * Starts a task and lets it run to its first suspension. The task is returned in an array, because `await`
 * would wait for it otherwise.
 */
async function started<T>(body: () => Promise<T>): Promise<[Task<T>]> {
  const task = createTask(body);
  await immediate();
  await immediate();
  return [task];
}

test.each([
  ["sleep", () => sleep(1000)],
  [
    "sleep(0) in a loop",
    async () => {
      for (;;) await sleep(0);
    },
  ],
  ["a future", () => new Future()],
  ["a task", () => createTask(sleep(1000))],
  [
    "a coroutine",
    () =>
      coroutine(function* () {
        yield* sleep(1000);
      })(),
  ],
  [
    "a wrapped async function",
    () =>
      coroutine(async () => {
        await sleep(1000);
      })(),
  ],
  ["gather", () => gather([sleep(1000), sleep(2000)])],
  ["wait", () => wait([new Future()])],
  ["waitFor", () => waitFor(sleep(1000), 5000)],
  ["shield", () => shield(createTask(sleep(1000)))],
  ["timeout", () => timeout(5000, () => sleep(1000))],
  [
    "a group",
    () =>
      taskGroup(async (group) => {
        group.createTask(sleep(1000));
      }),
  ],
  ["an event", () => new Event().wait()],
  [
    "a helper's await",
    async () => {
      await (async () => {
        await sleep(1000);
      })();
    },
  ],
  ["a then", () => new Future().then((x) => x)],
  [
    "a native call with the signal",
    () =>
      new Promise((_, reject) => {
        const signal = currentTask()!.signal;
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      }),
  ],
])("a cancellation lands at an await of %s", async (_, pending) => {
  await virtually(async () => {
    let caught: unknown;
    const [task] = await started(async () => {
      try {
        await pending();
      } catch (error) {
        caught = error;
        throw error;
      }
    });
    expect(task.cancel("enough")).toBe(true);
    expect(task.cancelling()).toBe(1);
    await expect(task).rejects.toBeInstanceOf(CancelledError);
    expect(caught).toBeInstanceOf(CancelledError);
    expect((caught as Error).message).toBe("enough");
    expect(task.cancelled()).toBe(true);
  });
});

test("cancelled before it starts, the body never runs", async () => {
  await virtually(async () => {
    let ran = false;
    const task = createTask(async () => {
      ran = true;
    });
    task.cancel();
    await expect(task).rejects.toBeInstanceOf(CancelledError);
    expect(ran).toBe(false);
  });
});

test("a cancellation during native work lands at the next await of ours", async () => {
  await virtually(async () => {
    const gate = Promise.withResolvers<void>();
    const steps: string[] = [];
    const [task] = await started(async () => {
      await gate.promise;
      steps.push("native is over");
      await sleep(10);
      steps.push("not reached");
    });
    expect(task.cancel()).toBe(true);
    gate.resolve();
    await expect(task).rejects.toBeInstanceOf(CancelledError);
    expect(steps).toEqual(["native is over"]);
  });
});

test("an async body may swallow, delay or replace a cancellation", async () => {
  await virtually(async () => {
    const [swallow] = await started(async () => {
      try {
        await sleep(1000);
        return "finished";
      } catch {
        return "swallowed";
      }
    });
    swallow.cancel();
    expect(await swallow).toBe("swallowed");
    expect(swallow.cancelling()).toBe(1);

    const [delay] = await started(async () => {
      try {
        await sleep(1000);
      } finally {
        await sleep(50);
      }
    });
    const before = getRunningLoop().time();
    delay.cancel();
    await expect(delay).rejects.toBeInstanceOf(CancelledError);
    expect(getRunningLoop().time() - before).toBe(50);

    const [replace] = await started(async () => {
      try {
        await sleep(1000);
      } catch {
        throw new RangeError("instead");
      }
    });
    replace.cancel();
    await expect(replace).rejects.toThrow(RangeError);
    expect(replace.cancelled()).toBe(false);
  });
});

test("a scope never exits before its async body has", async () => {
  await virtually(async () => {
    const order: string[] = [];
    await timeout(10, async () => {
      try {
        await sleep(1000);
      } finally {
        await sleep(30);
        order.push("cleaned up");
      }
    }).catch((error: unknown) => order.push((error as Error).name));
    expect(order).toEqual(["cleaned up", "TimeoutError"]);
    expect(getRunningLoop().time()).toBe(40);
  });
});

test("a cancellation during native work lands at an await of a future that is done", async () => {
  await virtually(async () => {
    const gate = Promise.withResolvers<void>();
    const done = getRunningLoop().createFuture<string>();
    done.setResult("here");
    let reached = false;
    const [task] = await started(async () => {
      await gate.promise;
      await done;
      reached = true;
    });
    task.cancel();
    gate.resolve();
    await expect(task).rejects.toBeInstanceOf(CancelledError);
    expect(reached).toBe(false);
    expect(await done).toBe("here");
  });
});

test("a cancellation during one task's native work changes nothing for those that await a done future elsewhere", async () => {
  const gate = Promise.withResolvers<void>();
  const outside = AsyncLocalStorage.snapshot();
  await run(async () => {
    const done = getRunningLoop().createFuture<string>();
    done.setResult("here");
    const task = createTask(async () => await gate.promise);
    await sleep(0);
    task.cancel();
    // These run outside any task.
    expect(await outside(async () => await done)).toBe("here");
    // This task has cancelled itself. A done future is no suspension, so the request waits for the next
    // suspension.
    const steps: string[] = [];
    const other = createTask(async () => {
      currentTask()?.cancel();
      steps.push(await done);
      await sleep(0);
      steps.push("not reached");
    });
    await expect(other).rejects.toBeInstanceOf(CancelledError);
    expect(steps).toEqual(["here"]);
    gate.resolve();
    await Promise.allSettled([task]);
  });
});

test("a cancellation during native work lands at a read whose bytes are there, which takes none of them", async () => {
  await run(async () => {
    const gate = Promise.withResolvers<void>();
    const reader = new StreamReader();
    reader.feedData(Buffer.from("one\ntwo\n"));
    const task = createTask(async () => {
      await gate.promise;
      return await reader.readLine();
    });
    await sleep(0);
    task.cancel();
    gate.resolve();
    await expect(task).rejects.toThrow(CancelledError);
    expect((await reader.readLine()).toString()).toBe("one\n");
  });
});

test("a native promise that never settles: waiting for it can be given up, a body that awaits it cannot", async () => {
  await virtually(async () => {
    const never = new Promise<never>(() => {});
    const handedOver = createTask(never);
    await immediate();
    await immediate();
    handedOver.cancel("given up");
    await expect(handedOver).rejects.toThrow("given up");
    // Virtual time does not pass while work outside the loop is pending, so the deadline must be 0.
    await expect(waitFor(never, 0)).rejects.toBeInstanceOf(TimeoutError);
    const inside = createTask(async () => {
      await Promise.race([never, fromSignal(currentTask()!.signal)]);
    });
    await immediate();
    await immediate();
    inside.cancel();
    await expect(inside).rejects.toBeInstanceOf(CancelledError);
  });
});

test("a timeout in one branch of a Promise.all leaves the others alone, also when several expire together", async () => {
  await virtually(async () => {
    const limited = (ms: number) =>
      timeout(ms, async () => {
        await sleep(100);
        return ms;
      });
    const settled = await Promise.allSettled([
      limited(10),
      limited(10),
      limited(500),
      timeout(20, () => limited(10)),
    ]);
    expect(settled.map((s) => (s.status === "rejected" ? (s.reason as Error).name : s.value))).toEqual([
      "TimeoutError",
      "TimeoutError",
      500,
      "TimeoutError",
    ]);
    expect(currentTask()!.cancelling()).toBe(0);
  });
});

test("a group in one branch of a Promise.all cancels its own body only", async () => {
  await virtually(async () => {
    const failing = taskGroup(async (group) => {
      group.createTask(async () => {
        await sleep(5);
        throw new Error("child");
      });
      await sleep(1000);
    });
    const [a, b] = await Promise.allSettled([failing, sleep(50, "fine")]);
    expect(a.status === "rejected" && a.reason).toBeInstanceOf(AggregateError);
    expect(b).toEqual({ status: "fulfilled", value: "fine" });
  });
});

test("a cancellation from outside passes through an unexpired timeout as itself", async () => {
  await virtually(async () => {
    const [task] = await started(
      () =>
        timeout(1000, async () => {
          await sleep(500);
        }) as unknown as Promise<void>,
    );
    task.cancel("outside");
    await expect(task).rejects.toThrow("outside");
    expect(task.cancelled()).toBe(true);
  });
});

test("the current task and AsyncLocalStorage are right across awaits, helpers, thenables and tasks", async () => {
  const storage = new AsyncLocalStorage<string>();
  await virtually(async () => {
    const seen: string[] = [];
    const note = (where: string) => seen.push(`${where} ${currentTask()?.getName()} ${storage.getStore()}`);
    const helper = async () => {
      await sleep(2);
      note("helper");
    };
    const body = async () => {
      note("start");
      await sleep(1);
      note("sleep");
      await helper();
      await Promise.resolve();
      note("native");
      await {
        then: (resolve: (x: unknown) => void) => {
          note("thenable");
          resolve(1);
        },
      };
      await gather([
        async () => {
          note("child");
        },
      ]);
      note("gather");
      await timeout(10, async () => {
        await sleep(1);
        note("scope");
      });
      await coroutine(function* () {
        yield* sleep(1);
        note("generator");
      })();
      note("end");
    };
    const tasks = ["a", "b"].map((name) => storage.run(`store ${name}`, () => createTask(body, { name })));
    await gather(tasks);
    expect(storage.getStore()).toBeUndefined();
    for (const name of ["a", "b"]) {
      const own = seen.filter((line) => line.endsWith(`store ${name}`));
      expect(own.map((line) => line.split(" ")[0])).toEqual([
        "start",
        "sleep",
        "helper",
        "native",
        "thenable",
        "child",
        "gather",
        "scope",
        "generator",
        "end",
      ]);
      expect(
        own.filter((line) => !line.startsWith("child")).every((line) => line.includes(` ${name} `)),
      ).toBe(true);
    }
    expect(seen).toHaveLength(20);
  });
});

test("AsyncLocalStorage stores are seen throughout a generator task's life, and leak nowhere", async () => {
  const storage = new AsyncLocalStorage<number>();
  await virtually(async () => {
    const body = function* (n: number) {
      for (let i = 0; i < 3; i++) {
        expect(storage.getStore()).toBe(n);
        yield* sleep(1);
      }
      const inner = coroutine(async () => {
        await sleep(1);
        return [storage.getStore(), currentTask()?.getName()];
      });
      return yield* inner();
    };
    const tasks = [1, 2, 3].map((n) => storage.run(n, () => createTask(body(n), { name: `t${n}` })));
    const bare = createTask(function* () {
      yield* sleep(1);
      return storage.getStore();
    });
    expect(await gather(tasks)).toEqual([
      [1, "t1"],
      [2, "t2"],
      [3, "t3"],
    ]);
    expect(await bare).toBeUndefined();
    const heard: unknown[] = [];
    storage.run(7, () => {
      getRunningLoop().callSoon(() => heard.push(storage.getStore()));
      getRunningLoop().callLater(1, () => heard.push(storage.getStore()));
      tasks[0]!.addDoneCallback(() => heard.push(storage.getStore()));
    });
    await sleep(5);
    expect(heard).toEqual([7, 7, 7]);
  });
});

test("in a callback there is no current task, whoever scheduled it", async () => {
  const storage = new AsyncLocalStorage<number>();
  await virtually(async () => {
    const seen: unknown[] = [];
    storage.run(1, () => getRunningLoop().callSoon(() => seen.push(currentTask())));
    getRunningLoop().callSoon(() => seen.push(currentTask()));
    await sleep(1);
    expect(seen).toEqual([null, null]);
    expect(currentTask()).not.toBeNull();
  });
});

test("rejections: no false alarm, no silence", async () => {
  const alarms: unknown[] = [];
  const listen = (reason: unknown) => void alarms.push(reason);
  const others = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", listen);
  try {
    const reports: unknown[] = [];
    await run(async () => {
      getRunningLoop().setExceptionHandler((_, context) =>
        reports.push((context.exception as Error).message),
      );
      // No alarm for a rejection that is awaited late, or through a task.
      const late = createTask(async () => {
        throw new Error("late");
      });
      await sleep(2);
      await expect(late).rejects.toThrow("late");
      const handedOver = createTask(Promise.reject(new Error("handed over")));
      await sleep(2);
      await expect(handedOver).rejects.toThrow("handed over");
      await expect(gather([Promise.reject(new Error("gathered")), sleep(3)])).rejects.toThrow("gathered");
      await immediate();
      expect(alarms).toEqual([]);
      // Node reports a `then` without a handler.
      void createTask(async () => {
        throw new Error("then");
      }).then(() => {});
      await sleep(2);
      await immediate();
      expect(alarms.map((error) => (error as Error).message)).toEqual(["then"]);
      // Nobody retrieves this error, so the loop reports it.
      createTask(async () => {
        throw new Error("unseen");
      });
      await sleep(2);
    });
    expect(reports).toEqual(["unseen"]);
    expect(alarms).toHaveLength(1);
  } finally {
    process.removeListener("unhandledRejection", listen);
    for (const other of others) process.on("unhandledRejection", other);
  }
});

test("the signal: fresh for each cancellation that was withdrawn, and a branch's own in a scope", async () => {
  await virtually(async () => {
    const task = currentTask()!;
    const outer = task.signal;
    let inner: AbortSignal | undefined;
    await timeout(5, async () => {
      inner = task.signal;
      await sleep(1000);
    }).catch(() => {});
    expect(inner!.aborted).toBe(true);
    expect(inner!.reason).toBeInstanceOf(CancelledError);
    expect(outer.aborted).toBe(false);
    const [cancelled] = await started(async () => {
      const signal = currentTask()!.signal;
      await sleep(1000).catch(() => {});
      const wasAborted = signal.aborted;
      currentTask()!.uncancel();
      return [wasAborted, currentTask()!.signal.aborted];
    });
    cancelled.cancel();
    expect(await cancelled).toEqual([true, false]);
  });
});

test("deadlines enclose what is awaited in them", async () => {
  await virtually(async () => {
    expect(currentDeadline()).toBeUndefined();
    await timeout(100, async () => {
      expect(currentDeadline()).toBe(100);
      await timeout(500, async (scope) => {
        expect(currentDeadline()).toBe(100);
        scope.reschedule(50);
        expect(currentDeadline()).toBe(50);
      });
      expect(await gather([async () => currentDeadline()])).toEqual([100]);
      expect(await taskGroup(async (group) => await group.createTask(async () => currentDeadline()))).toBe(
        100,
      );
      expect(await createTask(async () => currentDeadline())).toBeUndefined();
      await Promise.all([
        timeout(20, async () => {
          expect(currentDeadline()).toBe(20);
          await sleep(1);
        }),
        sleep(2),
      ]);
      expect(currentDeadline()).toBe(100);
    });
    expect(currentDeadline()).toBeUndefined();
  });
});

test("a bound deadline encloses a task, and cancels nothing", async () => {
  await virtually(async () => {
    const task = createTask(async () => {
      const own = currentDeadline();
      const inner = await timeout(10, async () => currentDeadline());
      const grouped = await taskGroup((group) => group.createTask(async () => currentDeadline()));
      await sleep(1000);
      return [own, inner, grouped, currentDeadline()];
    });
    task.bindDeadline(500);
    expect(await task).toEqual([500, 10, 500, 500]);
    await taskGroup(async (group) => {
      const child = group.createTask(async () => currentDeadline());
      child.bindDeadline(2000);
      expect(await child).toBe(2000);
    });
  });
});

test("every function that waits takes a signal", async () => {
  await virtually(async () => {
    const lock = new Lock();
    await lock.acquire();
    const waits = [
      (signal: AbortSignal) => lock.acquire({ signal }),
      (signal: AbortSignal) => new Event().wait({ signal }),
      (signal: AbortSignal) => wait([new Future()], { signal }),
      (signal: AbortSignal) => waitFor(sleep(1000), 5000, { signal }),
      (signal: AbortSignal) => gather([sleep(1000)], { signal }),
      (signal: AbortSignal) => timeout(5000, () => sleep(1000), { signal }),
      (signal: AbortSignal) =>
        taskGroup(
          async () => {
            await sleep(1000);
          },
          { signal },
        ),
      async (signal: AbortSignal) => {
        for await (const _ of asCompleted([sleep(1000)], { signal })) void _;
      },
    ];
    for (const [i, pending] of waits.entries()) {
      const controller = new AbortController();
      const [task] = await started(async () => {
        await pending(controller.signal);
      });
      controller.abort(new Error("no more"));
      await expect(task, `wait ${i}`).rejects.toThrow("no more");
      expect(task.cancelling()).toBe(0);
      await expect(
        createTask(async () => {
          await pending(AbortSignal.abort());
        }),
      ).rejects.toBeInstanceOf(CancelledError);
    }
  });
});

test("async generators: a bare one is iterated, a wrapped one is closed when run ends", async () => {
  const closed: string[] = [];
  const ticks = async function* () {
    for (let i = 0; i < 3; i++) {
      await sleep(1);
      yield i;
    }
  };
  const endless = asyncGenerator(async function* endless() {
    try {
      for (let i = 0; ; i++) yield i;
    } finally {
      closed.push("endless");
    }
  });
  const seen: number[] = [];
  await virtually(async () => {
    for await (const i of ticks()) seen.push(i);
    for await (const i of endless()) if (i === 2) break;
    expect(closed).toEqual(["endless"]);
    await endless().next();
    expect(endless.name).toBe("endless");
  });
  expect(seen).toEqual([0, 1, 2]);
  expect(closed).toEqual(["endless", "endless"]);
});

test("an async function goes on in the microtask that its awaited future queues, and in none after it", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const future = loop.createFuture();
    const seen: (number | "resumed")[] = [];
    const [task] = await started(async () => {
      await future;
      seen.push("resumed");
    });
    const count = (n: number): void => {
      seen.push(n);
      if (n < 4) queueMicrotask(() => count(n + 1));
    };
    loop.callSoon(() => {
      future.setResult(undefined);
      loop.callSoon(() => queueMicrotask(() => count(0)));
    });
    await task;
    await immediate();
    expect(seen).toEqual(["resumed", 0, 1, 2, 3, 4]);
  });
});

test("an async body beside a spinning coroutine goes on within a few iterations", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const spinning = createTask(function* () {
      for (;;) yield* sleep(0);
    });
    await sleep(0);
    const before = loop.metrics().iterations;
    for (let i = 0; i < 100; i++) await sleep(0);
    const each = (loop.metrics().iterations - before) / 100;
    expect(each).toBeLessThan(5);
    spinning.cancel();
  });
});

test("a future that belongs to another loop is refused", async () => {
  const stranger = new Future(); // belongs to the default loop
  await virtually(async () => {
    await expect(
      createTask(function* () {
        yield* stranger;
      }),
    ).rejects.toThrow(/different loop/);
    expect(() => ensureFuture(stranger, { loop: getRunningLoop() })).toThrow(/different loop/);
  });
  stranger.cancel();
});
