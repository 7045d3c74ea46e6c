/**
 * The measures on Node, each in a process of its own. `node measures.ts <name>` prints nanoseconds (or bytes,
 * if the name says so), or several figures by name. Every peer does the same work in the same form.
 */
import { createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { coroutine, createTask, gather, getRunningLoop, Queue, run, sleep } from "@taskloom/loop";
import type { Handle } from "@taskloom/loop";
import { median, spawns, switches } from "./many-tasks.ts";

const WORKERS = 1000;
const SWITCHES = 500;
const TASKS = 10_000;
const TIMERS = 100_000;
const ITEMS = 300_000;

/** Runs `work` twenty times, and returns the median in nanoseconds for each operation. */
async function typical(operations: number, work: () => Promise<number>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 20; i++) times.push(await work());
  return (median(times) * 1e6) / operations;
}

/** The delays of the timer rows, all different and spread over a quarter of an hour. */
const delays = Array.from({ length: TIMERS }, (_, i) => 100_000 + ((i * 7919) % 1_000_003));

const measures: Record<string, () => Promise<number | Record<string, number>>> = {
  "native await": () =>
    typical(WORKERS * SWITCHES, async () => {
      const worker = async (): Promise<void> => {
        // oxlint-disable-next-line typescript/await-thenable, unicorn/no-unnecessary-await -- what is measured
        for (let i = 0; i < SWITCHES; i++) await null;
      };
      const began = performance.now();
      await Promise.all(Array.from({ length: WORKERS }, worker));
      return performance.now() - began;
    }),

  "switch, generator": () =>
    typical(WORKERS * SWITCHES, () =>
      run(function* () {
        const worker = function* (): Generator<never, void, unknown> {
          for (let i = 0; i < SWITCHES; i++) yield* sleep(0);
        };
        const began = performance.now();
        yield* gather(Array.from({ length: WORKERS }, worker));
        return performance.now() - began;
      }),
    ),

  "switch, async": () =>
    typical(WORKERS * SWITCHES, () =>
      run(async () => {
        const worker = async (): Promise<void> => {
          for (let i = 0; i < SWITCHES; i++) await sleep(0);
        };
        const began = performance.now();
        await gather(Array.from({ length: WORKERS }, () => worker));
        return performance.now() - began;
      }),
    ),

  "switch, Effect": async () => {
    const { Effect } = await import("effect");
    const worker = Effect.gen(function* () {
      for (let i = 0; i < SWITCHES; i++) yield* Effect.yieldNow;
    });
    return typical(WORKERS * SWITCHES, async () => {
      const began = performance.now();
      await Effect.runPromise(
        Effect.all(
          Array.from({ length: WORKERS }, () => worker),
          { concurrency: "unbounded", discard: true },
        ),
      );
      return performance.now() - began;
    });
  },

  "switch, Effection": async () => {
    const { all, run: runEffection, until } = await import("effection");
    const worker = function* () {
      for (let i = 0; i < SWITCHES / 10; i++) yield* until(Promise.resolve());
    };
    return typical((WORKERS / 10) * (SWITCHES / 10), async () => {
      const began = performance.now();
      await runEffection(function* () {
        yield* all(Array.from({ length: WORKERS / 10 }, () => ({ [Symbol.iterator]: worker })));
      });
      return performance.now() - began;
    });
  },

  "await beside a spinning coroutine": () =>
    typical(2000, () =>
      run(async () => {
        const spinning = createTask(function* () {
          for (;;) yield* sleep(0);
        });
        const began = performance.now();
        for (let i = 0; i < 2000; i++) await sleep(0);
        const took = performance.now() - began;
        spinning.cancel();
        return took;
      }),
    ),

  "spawn + gather, one by one": () =>
    typical(TASKS, () =>
      run(function* () {
        const job = function* (): Generator<never, number, unknown> {
          return 1;
        };
        const began = performance.now();
        for (let i = 0; i < TASKS; i++) yield* gather([job()]);
        return performance.now() - began;
      }),
    ),

  "spawn + gather, all at once": () =>
    typical(TASKS, () =>
      run(function* () {
        const job = function* (): Generator<never, number, unknown> {
          return 1;
        };
        const began = performance.now();
        yield* gather(Array.from({ length: TASKS }, job));
        return performance.now() - began;
      }),
    ),

  callLater: () =>
    typical(TIMERS, () =>
      run(async () => {
        const loop = getRunningLoop();
        const nothing = (): void => {};
        const handles: Handle[] = [];
        const began = performance.now();
        for (const delay of delays) handles.push(loop.callLater(delay, nothing));
        return performance.now() - began;
      }),
    ),

  "callLater, cancel": () =>
    typical(TIMERS, () =>
      run(async () => {
        const loop = getRunningLoop();
        const nothing = (): void => {};
        const handles = delays.map((delay) => loop.callLater(delay, nothing));
        const began = performance.now();
        for (const handle of handles) handle.cancel();
        return performance.now() - began;
      }),
    ),

  setTimeout: () =>
    typical(TIMERS, async () => {
      const nothing = (): void => {};
      const timers: NodeJS.Timeout[] = [];
      const began = performance.now();
      for (const delay of delays) timers.push(setTimeout(nothing, delay));
      const took = performance.now() - began;
      for (const timer of timers) clearTimeout(timer);
      return took;
    }),

  clearTimeout: () =>
    typical(TIMERS, async () => {
      const nothing = (): void => {};
      const timers = delays.map((delay) => setTimeout(nothing, delay));
      const began = performance.now();
      for (const timer of timers) clearTimeout(timer);
      return performance.now() - began;
    }),

  "queue put + get": () =>
    typical(ITEMS, () =>
      run(function* () {
        const queue = new Queue<number>(100);
        createTask(function* () {
          for (let i = 0; i < ITEMS; i++) yield* queue.put(i);
        });
        const began = performance.now();
        for (let i = 0; i < ITEMS; i++) yield* queue.get();
        return performance.now() - began;
      }),
    ),

  "resume at depth 1": () => resumeAt(1),
  "resume at depth 100": () => resumeAt(100),

  "memory of a sleeping task, bytes": () =>
    run(function* () {
      const count = 1_000_000;
      const sleeper = function* (ms: number): Generator<never, void, unknown> {
        yield* sleep(ms);
      };
      const gc = (globalThis as { gc?: () => void }).gc!;
      gc();
      const before = process.memoryUsage();
      const tasks = Array.from({ length: count }, (_, i) => createTask(sleeper(1e6 + i)));
      yield* sleep(1);
      gc();
      const after = process.memoryUsage();
      for (const task of tasks) task.cancel();
      const used = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
      return used / count;
    }),

  "memory of a sleeping native function, bytes": async () => {
    const count = 1_000_000;
    const gc = (globalThis as { gc?: () => void }).gc!;
    const sleeper = async (ms: number): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, ms).unref());
    };
    gc();
    const before = process.memoryUsage().heapUsed;
    const promises = Array.from({ length: count }, (_, i) => sleeper(1e6 + (i % 1000)));
    gc();
    const used = process.memoryUsage().heapUsed - before;
    return promises.length === count ? used / count : NaN;
  },

  "switches of 1,000 tasks": () => switches(1000, 500),
  "switches of 10,000 tasks": () => switches(10_000, 50),
  "switches of 100,000 tasks": () => switches(100_000, 10),
  "spawn + gather by number of tasks": spawns,

  "fairness, p99": () =>
    fairness((stop) => {
      for (let i = 0; i < 10_000; i++) {
        createTask(function* () {
          while (!stop.aborted) yield* sleep(0);
        });
      }
    }),

  "fairness of a native promise chain": () =>
    fairness((stop) => {
      void (async () => {
        const end = performance.now() + 1000;
        // oxlint-disable-next-line typescript/await-thenable, unicorn/no-unnecessary-await -- what is measured
        while (!stop.aborted && performance.now() < end) await null;
      })();
    }, 1),
};

function resumeAt(depth: number): Promise<number> {
  const resumes = 200_000;
  const nested = coroutine(function* (left: number): Generator<never, void, unknown> {
    if (left > 0) yield* nested(left - 1);
    else for (let i = 0; i < resumes; i++) yield* sleep(0);
  });
  return typical(resumes, () =>
    run(function* () {
      const began = performance.now();
      yield* nested(depth);
      return performance.now() - began;
    }),
  );
}

/**
 * The process is always busy, so its processor time equals the elapsed time; on a busy machine it excludes
 * the time of other processes.
 */
function busyTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Returns the 99th percentile of the time of an HTTP request while another task spins, in nanoseconds. */
async function fairness(spin: (stop: AbortSignal) => void, requests = 300): Promise<number> {
  const server = createServer((_, response) => response.end("ok"));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const stop = new AbortController();
  const took = await run(async () => {
    const times: number[] = [];
    spin(stop.signal);
    for (let i = -Math.floor(requests / 10); i < requests; i++) {
      const began = busyTime();
      await new Promise<void>((resolve, reject) => {
        get({ port, host: "127.0.0.1", agent: false }, (response) => response.resume().on("end", resolve)).on(
          "error",
          reject,
        );
      });
      if (i >= 0) times.push(busyTime() - began);
    }
    stop.abort();
    return times.toSorted((a, b) => a - b)[Math.ceil(times.length * 0.99) - 1]!;
  });
  server.close();
  server.closeAllConnections();
  return took * 1e6;
}

const name = process.argv[2]!;
const measure = measures[name];
if (measure === undefined)
  throw new RangeError(`Expected one of the measures, got ${name}: ${Object.keys(measures).join(", ")}`);
console.log(JSON.stringify(await measure()));
process.exit(0);
