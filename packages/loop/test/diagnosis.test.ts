import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  Barrier,
  Condition,
  Event,
  Queue,
  Semaphore,
  captureCallGraph,
  captureWaits,
  coroutine,
  createTask,
  currentTask,
  DeadlockError,
  formatCallGraph,
  Future,
  gather,
  getRunningLoop,
  Lock,
  run,
  sleep,
  timeout,
  wait,
} from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { isOwnFrame } from "../src/own-frames.ts";
import { STEPPING } from "../src/task/stack.ts";

let warnings: string[] = [];
beforeEach(() => {
  warnings = [];
  vi.spyOn(console, "warn").mockImplementation((...parts: unknown[]) => void warnings.push(parts.join(" ")));
});
afterEach(() => vi.restoreAllMocks());

/** Blocks the thread, for the tests of slow callbacks. */
function hold(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

test("debug mode names a slow step, the task and where it stands", async () => {
  await run(
    async () => {
      getRunningLoop().slowCallbackDuration = 5;
      const slow = coroutine(function* slow() {
        hold(8);
        yield* sleep(1);
      });
      await createTask(slow(), { name: "sluggish" });
      getRunningLoop().callSoon(function heavy() {
        hold(8);
      });
      await sleep(1);
    },
    { debug: true },
  );
  const step = warnings.find((line) => line.includes("sluggish"));
  expect(step).toMatch(/Executing <Task pending name='sluggish' .* took \d+ ms/);
  expect(step).toMatch(/slow\(\) running at diagnosis\.test\.ts:\d+/);
  expect(warnings.find((line) => line.includes("heavy"))).toMatch(/diagnosis\.test\.ts/);
});

test("debug mode names async code that holds the loop after an await", async () => {
  await run(
    async () => {
      getRunningLoop().slowCallbackDuration = 5;
      await createTask(
        async () => {
          await sleep(0);
          hold(8);
          await sleep(0);
        },
        { name: "hog" },
      );
    },
    { debug: true },
  );
  expect(warnings.some((line) => line.includes("Async code took") && line.includes("'hog'"))).toBe(true);
});

test("debug mode warns of a swallowed cancellation, and not of cleaning up", async () => {
  await run(
    async () => {
      const polite = createTask(
        function* () {
          try {
            yield* sleep(1000);
          } finally {
            yield* sleep(1);
          }
        },
        { name: "polite" },
      );
      const stubborn = createTask(
        function* () {
          try {
            yield* sleep(1000);
          } catch {}
          for (let i = 0; i < 5; i++) yield* sleep(1);
        },
        { name: "stubborn" },
      );
      const quiet = createTask(
        async () => {
          try {
            await sleep(1000);
          } catch {
            return "no";
          }
          return "";
        },
        { name: "quiet" },
      );
      const sorry = createTask(
        async () => {
          try {
            await sleep(1000);
          } catch {
            currentTask()?.uncancel();
          }
          for (let i = 0; i < 5; i++) await sleep(1);
        },
        { name: "sorry" },
      );
      await sleep(1);
      for (const task of [polite, stubborn, quiet, sorry]) task.cancel();
      await wait([polite, stubborn, quiet, sorry]);
    },
    { debug: true, clock: virtualClock() },
  );
  const swallowed = warnings.filter((line) => line.includes("was cancelled and has"));
  expect(swallowed.map((line) => /name='(\w+)'/.exec(line)?.[1]).toSorted()).toEqual(["quiet", "stubborn"]);
});

test("an error that nobody retrieved is reported, with where it was made in debug mode", async () => {
  for (const debug of [false, true]) {
    const reports: { message: string; exception?: unknown; sourceTraceback?: string | undefined }[] = [];
    await run(
      async () => {
        getRunningLoop().setExceptionHandler((_, context) => void reports.push(context));
        createTask(async () => {
          throw new Error("unseen task");
        });
        new Future().setException(new Error("unseen future"));
        const seen = new Future();
        seen.setException(new Error("seen"));
        seen.exception();
        await sleep(1);
      },
      { debug, clock: virtualClock() },
    );
    expect(reports.map((report) => (report.exception as Error).message).toSorted()).toEqual([
      "unseen future",
      "unseen task",
    ]);
    expect(reports[0]!.message).toMatch(/exception was never retrieved/);
    expect(reports.every((report) => (report.sourceTraceback ?? "").includes("diagnosis.test.ts"))).toBe(
      debug,
    );
  }
});

test("debug mode reports a coroutine that was dropped unawaited", async () => {
  const gc = (globalThis as { gc?: () => void }).gc;
  const seen: string[] = [];
  const listen = (warning: Error) => void seen.push(warning.message);
  process.on("warning", listen);
  try {
    await run(
      async () => {
        const nested = coroutine(async function nested() {});
        (() => void nested())();
        const closed = coroutine(async function closed() {});
        closed().close();
        await nested();
        // The engine decides when it collects garbage, so memory is allocated until then.
        for (let i = 0; i < 200 && seen.length === 0; i++) {
          gc?.();
          const waste = Array.from({ length: 200_000 }, (_, n) => ({ n }));
          expect(waste).toHaveLength(200_000);
          await new Promise((resolve) => setImmediate(resolve));
        }
      },
      { debug: true },
    );
  } finally {
    process.off("warning", listen);
  }
  expect(seen).toHaveLength(1);
  expect(seen[0]).toMatch(/^coroutine 'nested' was never awaited\n.*diagnosis\.test\.ts/s);
});

test("a deadlock names every task that waits, and what for", async () => {
  const lock = new Lock();
  const failure = await run(
    async () => {
      await lock.acquire();
      createTask(
        function* needsLock() {
          yield* lock.acquire();
        },
        { name: "second" },
      );
      await new Future();
    },
    { clock: virtualClock() },
  ).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(DeadlockError);
  expect((failure as DeadlockError).code).toBe("DEADLOCK");
  expect((failure as Error).message).toMatch(
    /name='second' .*waitFor=<Lock\.acquire\(\) locked held by 'Task-\d+', 1 waiting>/,
  );
  expect((failure as Error).message).toMatch(/waits for <Future pending>/);
});

test("inspecting a task shows its state, its name and where it stands", async () => {
  await run(
    async () => {
      const a = coroutine(function* a() {
        yield* sleep(10);
        return 5;
      });
      const task = createTask(a(), { name: "Task-1" });
      await sleep(1);
      expect(inspect(task)).toMatch(
        /^<Task pending name='Task-1' coro=<a\(\) running at diagnosis\.test\.ts:\d+> waitFor=<sleep\(10\) pending>>$/,
      );
      await task;
      expect(inspect(task)).toBe("<Task finished name='Task-1' coro=<a()> result=5>");
      const several = createTask(
        async function several() {
          await Promise.all([sleep(10), new Future()]);
        },
        { name: "Task-2" },
      );
      await sleep(1);
      expect(inspect(several)).toMatch(/ waitFor=<sleep\(10\) pending> <Future pending>>$/);
      several.cancel();
    },
    { clock: virtualClock() },
  );
});

test("a suspended task's stack is read without disturbing it", async () => {
  await run(
    async () => {
      let steps = 0;
      const inner = coroutine(function* inner() {
        steps++;
        yield* sleep(10);
        steps++;
      });
      const raw = function* raw() {
        yield* inner();
      };
      const outer = coroutine(function* outer() {
        yield* raw();
      });
      const task = createTask(outer());
      await sleep(1);
      const names = () => task.getStack().map((line) => /^at (\w+)/.exec(line)?.[1]);
      expect(names()).toEqual(["outer", "raw", "inner"]);
      expect(names()).toEqual(["outer", "raw", "inner"]);
      expect(steps).toBe(1);
      let printed = "";
      task.printStack((text) => (printed += text));
      expect(printed).toMatch(
        /^Stack for <Task pending .*\n {4}at outer .*\n {4}at raw .*\n {4}at inner .*\n$/,
      );
      await task;
      expect(steps).toBe(2);
      expect(task.getStack()).toEqual([]);
    },
    { clock: virtualClock() },
  );
});

test("a stack shows the program's frames, and none of Taskloom's", async () => {
  await run(
    async () => {
      const lock = new Lock();
      await lock.acquire();
      const waits: [string, () => Generator<never, unknown, unknown>][] = [
        ["sleep", () => sleep(60_000)[Symbol.iterator]() as never],
        ["lock", () => lock.acquire()[Symbol.iterator]() as never],
        ["queue", () => new Queue().get()[Symbol.iterator]() as never],
        ["timeout", () => timeout(60_000, () => sleep(60_000))[Symbol.iterator]() as never],
        ["wait", () => wait([new Future()])[Symbol.iterator]() as never],
      ];
      for (const [name, begin] of waits) {
        const task = createTask(function* mine() {
          yield* { [Symbol.iterator]: begin };
        });
        await sleep(1);
        const stack = task.getStack();
        expect(stack[0], name).toMatch(/^at mine .*diagnosis\.test\.ts/);
        expect(stack.join("\n"), name).not.toMatch(/loop.src/);
        task.cancel();
      }
    },
    { clock: virtualClock() },
  );
});

test("frames are Taskloom's by the folder of its files, wherever that is", () => {
  const sources = fileURLToPath(new URL("../src/", import.meta.url));
  const frame = (path: string): string => `    at step (${path}:1:1)`;
  for (const folder of STEPPING) {
    expect(readdirSync(join(sources, folder)).length).toBeGreaterThan(0);
    expect(isOwnFrame(frame(join(sources, folder, "any.ts")), STEPPING)).toBe(true);
    expect(isOwnFrame(frame(pathToFileURL(join(sources, folder, "any.ts")).href), STEPPING)).toBe(true);
  }
  expect(isOwnFrame(frame(join(sources, "io/server.ts")))).toBe(true);
  expect(isOwnFrame(frame(join(sources, "io/server.ts")), STEPPING)).toBe(false);
  expect(isOwnFrame(frame("/home/me/loop/src/task/mine.ts"))).toBe(false);
  expect(isOwnFrame(frame(import.meta.filename))).toBe(false);
});

test("call graphs go through gathers and waits, and mark cycles", async () => {
  await run(
    async () => {
      const leaf = createTask(
        function* leaf() {
          yield* sleep(10);
        },
        { name: "leaf" },
      );
      const byGather = createTask(
        function* () {
          yield* gather([leaf]);
        },
        { name: "byGather" },
      );
      const byWait = createTask(
        function* () {
          yield* wait([leaf]);
        },
        { name: "byWait" },
      );
      const byAsync = createTask(
        async () => {
          await byWait;
        },
        { name: "byAsync" },
      );
      await sleep(1);
      const graph = captureCallGraph(leaf)!;
      expect(graph.awaitedBy.map((each) => each.task.getName())).toEqual(["byGather", "byWait"]);
      expect(graph.awaitedBy[1]!.awaitedBy.map((each) => each.task.getName())).toEqual(["byAsync"]);
      const text = formatCallGraph(leaf);
      expect(text).toMatch(/^\* Task 'leaf' pending\n {2}\+ call stack/);
      expect(text).toContain("    * Task 'byWait' pending");
      await gather([byGather, byAsync]);

      const pair: ReturnType<typeof createTask<void>>[] = [];
      pair.push(
        createTask(
          function* () {
            yield* pair[1]!;
          },
          { name: "a" },
        ),
      );
      pair.push(
        createTask(
          function* () {
            yield* pair[0]!;
          },
          { name: "b" },
        ),
      );
      await sleep(1);
      expect(formatCallGraph(pair[0])).toContain("* Task 'a' pending (cycle: it is above)");
      expect(captureCallGraph(null)).toBeNull();
      const reports: string[] = [];
      getRunningLoop().setExceptionHandler((_, context) => void reports.push(context.message));
      expect(() => pair[0]!.cancel()).toThrow(/await each other/);
      expect(() => [...pair[0]!]).toThrow(/not a list/);
    },
    { clock: virtualClock() },
  );
});

test("a loop and what belongs to it cannot be sent to another thread, and the error says why", async () => {
  const worker = new Worker("setInterval(() => {}, 1000)", { eval: true });
  try {
    await run(async () => {
      for (const thing of [getRunningLoop(), currentTask(), new Future()]) {
        expect(() => structuredClone(thing)).toThrow(/stay on their thread: send a result/);
        expect(() => worker.postMessage(thing)).toThrow(expect.objectContaining({ name: "DataCloneError" }));
      }
    });
  } finally {
    await worker.terminate();
  }
});

test("metrics count iterations, what is ready, timers and tasks", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const first = loop.metrics();
    const idle = createTask(sleep(3_600_000));
    await sleep(0);
    await sleep(15);
    const second = loop.metrics();
    expect(second.iterations).toBeGreaterThan(first.iterations);
    expect(second).toMatchObject({ timers: 1, tasks: 2 });
    expect(second.utilization).toBeGreaterThanOrEqual(0);
    expect(second.utilization).toBeLessThanOrEqual(1);
    expect(second.delay.max).toBeGreaterThanOrEqual(second.delay.p50);
    idle.cancel();
  });
});

test("a wait names the primitive, its state and its holder, in both spellings", async () => {
  await run(async () => {
    const lock = new Lock();
    const event = new Event();
    const semaphore = new Semaphore(1);
    const queue = new Queue<number>(2);
    const full = new Queue<number>(1);
    full.putNowait(1);
    const condition = new Condition();
    const barrier = new Barrier(2);
    const holder = createTask(
      async () => {
        using _lock = await lock.acquire();
        using _permit = await semaphore.acquire();
        await event.wait();
      },
      { name: "holder" },
    );
    await sleep(0);
    await sleep(0);
    const waits: Record<string, [() => Iterable<never>, string]> = {
      lock: [() => lock.acquire() as never, "<Lock.acquire() locked held by 'holder', 2 waiting>"],
      event: [() => event.wait() as never, "<Event.wait() unset, 3 waiting>"],
      semaphore: [() => semaphore.acquire() as never, "<Semaphore.acquire() 0 free, 2 waiting>"],
      get: [() => queue.get() as never, "<queue.get() on <Queue 0 of 2 items, 2 getting, 0 putting>>"],
      put: [() => full.put(2) as never, "<queue.put() on <Queue 1 of 1 items, 0 getting, 2 putting>>"],
      condition: [
        () => condition.with(() => condition.wait()) as never,
        "<Condition.wait() 2 waiting, <Lock unlocked, 0 waiting>>",
      ],
      sleep: [() => sleep(1_000) as never, "<sleep(1000) pending>"],
    };
    const started = Object.entries(waits).map(([name, [begin, expected]]) => {
      const generator = createTask(function* () {
        yield* begin();
      });
      const asynchronous = createTask(async () => {
        await (begin() as unknown as PromiseLike<void>);
      });
      return { name, expected, tasks: [generator, asynchronous] };
    });
    const atBarrier = createTask(() => barrier.wait());
    await sleep(0);
    await sleep(0);
    await sleep(0);
    for (const { name, expected, tasks } of started) {
      for (const task of tasks)
        expect(
          captureWaits(task).map(({ description }) => description),
          name,
        ).toEqual([expected]);
    }
    expect(captureWaits(atBarrier)[0]?.description).toContain("Condition.wait()");
    expect(captureWaits(holder)).toHaveLength(1);
    for (const task of [...started.flatMap(({ tasks }) => tasks), holder, atBarrier]) task.cancel();
  });
});

test("each wait is an object of its own, and a scope in an async function is looked into", async () => {
  await run(
    async () => {
      const looping = createTask(async () => {
        for (;;) await sleep(10);
      });
      await sleep(1);
      const [first] = captureWaits(looping);
      await sleep(10);
      const [second] = captureWaits(looping);
      expect(second?.description).toBe(first?.description);
      expect(second?.on === first?.on).toBe(false); // compared by hand, because vitest would iterate the sleeps
      const queue = new Queue<number>();
      const scoped = createTask(() => timeout(1_000, async () => await queue.get()));
      const { promise, resolve } = Promise.withResolvers<void>();
      const outside = createTask(async () => await promise);
      // Virtual time does not pass while the promise is pending.
      for (let turn = 0; turn < 3; turn++) await sleep(0);
      expect(captureWaits(scoped)[0]?.description).toContain("queue.get()");
      expect(captureWaits(outside)).toEqual([
        { on: null, description: "a promise that is not Taskloom's, such as I/O" },
      ]);
      resolve();
      looping.cancel();
      scoped.cancel();
      await wait([looping, scoped, outside]);
      expect(captureWaits(scoped)).toEqual([]);
    },
    { clock: virtualClock() },
  );
});
