/**
 * The cost of a call to a thread, beside Piscina, tinypool, workerpool and raw postMessage in the same run.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { ThreadPoolExecutor, transfer } from "@taskloom/offload";
import { THREADS, makePeer, peerNames, piscina } from "./peers.ts";
import { inProcesses } from "./in-processes.ts";
import { inTurns, median, print, quantile } from "./report.ts";
import type { Row } from "./report.ts";

const same = (value: unknown): unknown => value;
const pool = new ThreadPoolExecutor({ maxThreads: THREADS, minThreads: THREADS });
const peers = peerNames.map(makePeer);
const everyone = {
  Taskloom: (value: unknown) => pool.submit(same, value) as PromiseLike<unknown>,
  ...Object.fromEntries(peers.map((peer) => [peer.name, (value: unknown) => peer.call(value)])),
};
type Call = (value: unknown) => PromiseLike<unknown>;
const forAll = (measure: (call: Call) => Promise<number>): Record<string, () => Promise<number>> =>
  Object.fromEntries(Object.entries(everyone).map(([name, call]) => [name, () => measure(call)]));
const rows: Row[] = [];
const bound = (text: string, holds: boolean): { text: string; holds: boolean } => ({ text, holds });

async function concurrent(): Promise<void> {
  const N = 10_000;
  const values = await inTurns(
    15,
    forAll(async (call) => {
      const start = performance.now();
      const all: PromiseLike<unknown>[] = [];
      for (let i = 0; i < N; i++) all.push(call(i));
      await Promise.all(all);
      return ((performance.now() - start) / N) * 1000;
    }),
  );
  const own = values.get("Taskloom")!;
  rows.push({
    what: "10,000 concurrent trivial calls",
    unit: "µs a call",
    values,
    bounds: [
      bound("at most 2.5 µs a call", own <= 2.5),
      bound("at least 10x faster than Piscina", values.get("Piscina")! >= 10 * own),
    ],
  });
}

async function serial(): Promise<void> {
  const values = await inTurns(
    21,
    forAll(async (call) => {
      const times: number[] = [];
      for (let i = 0; i < 1000; i++) {
        const start = performance.now();
        await call(i);
        times.push((performance.now() - start) * 1000);
      }
      return median(times);
    }),
  );
  rows.push({
    what: "one call after the other, p50",
    unit: "µs",
    values,
    bounds: [bound("at most 1.1x Piscina's", values.get("Taskloom")! <= 1.1 * values.get("Piscina")!)],
  });
}

async function mapping(): Promise<void> {
  const items = Array.from({ length: 100_000 }, (_, i) => i);
  const add = (n: number): number => n + 1;
  const values = await inTurns(9, {
    Taskloom: async () => {
      const start = performance.now();
      let sum = 0;
      for await (const value of pool.map(add, items)) sum += value;
      if (sum !== 5_000_050_000) throw new Error(`Wrong sum ${sum}`);
      return ((performance.now() - start) / items.length) * 1000;
    },
  });
  const own = values.get("Taskloom")!;
  rows.push({
    what: "map of 100,000 trivial items",
    unit: "µs an item",
    values,
    bounds: [bound("at most 0.8 µs an item", own <= 0.8)],
  });
}

async function typedArrays(): Promise<void> {
  const SIZE = 10_000;
  const double = async (url: string, numbers: Float64Array): Promise<Float64Array> => {
    const offload = (await import(url)) as typeof import("@taskloom/offload");
    for (let i = 0; i < numbers.length; i++) numbers[i]! *= 2;
    return offload.transfer(numbers, [numbers.buffer]);
  };
  const url = import.meta.resolve("@taskloom/offload");
  let buffers: Float64Array[] = Array.from({ length: 100 }, () => new Float64Array(SIZE).fill(1));
  const values = await inTurns(9, {
    Taskloom: async () => {
      const start = performance.now();
      buffers = await Promise.all(
        buffers.map((numbers) => pool.submit(double, url, transfer(numbers, [numbers.buffer]))),
      );
      return ((performance.now() - start) / (SIZE * buffers.length)) * 1000;
    },
  });
  rows.push({
    what: "numbers in typed arrays of 10,000, transferred there and back",
    unit: "µs a number",
    values,
    bounds: [bound("at most 0.1 µs a number", values.get("Taskloom")! <= 0.1)],
  });
}

async function streaming(): Promise<void> {
  const N = 50_000;
  const values = await inTurns(9, {
    Taskloom: async () => {
      const start = performance.now();
      let count = 0;
      const producer = function* (n: number): Generator<number> {
        for (let i = 0; i < n; i++) yield i;
      };
      for await (const item of pool.with({ window: 256 }).stream(producer, N)) count += item >= 0 ? 1 : 0;
      if (count !== N) throw new Error(`Expected ${N} items, got ${count}`);
      return ((performance.now() - start) / N) * 1000;
    },
  });
  rows.push({
    what: "stream, window 256",
    unit: "µs an item",
    values,
    bounds: [bound("at most 2 µs an item", values.get("Taskloom")! <= 2)],
  });
}

async function megabytes(): Promise<void> {
  const values = await inProcesses("megabyte", "moved megabyte");
  rows.push({
    what: "1 MB there and back, cloned",
    unit: "µs",
    values,
    bounds: [bound("at most 1.15x Piscina's", values.get("Taskloom")! <= 1.15 * values.get("Piscina")!)],
  });
}

async function records(): Promise<void> {
  const values = await inProcesses("records");
  rows.push({
    what: "10,000 records (1 MB) there and back, cloned",
    unit: "ms of processor time",
    values,
    bounds: [bound("at most 1.15x Piscina's", values.get("Taskloom")! <= 1.15 * values.get("Piscina")!)],
  });
}

async function killing(): Promise<void> {
  const one = new ThreadPoolExecutor({ maxThreads: 1, cancelGrace: 0 });
  const other = piscina(1);
  const spin = (started: Int32Array): void => {
    Atomics.store(started, 0, 1);
    Atomics.notify(started, 0);
    for (;;);
  };
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
  const values = await inTurns(7, {
    Taskloom: async () => {
      await one.submit(same, 0);
      // The spare thread that the last kill used must have been replaced.
      while (one.stats().threads < 2) await pause();
      const started = new Int32Array(new SharedArrayBuffer(4));
      const victim = one.submit(spin, started);
      const { async, value } = Atomics.waitAsync(started, 0, 0);
      if (async) await value;
      const start = performance.now();
      victim.cancel();
      await one.submit(same, 1);
      const took = performance.now() - start;
      await victim.then(undefined, () => {});
      return took;
    },
    Piscina: async () => {
      await other.run(0);
      const abort = new AbortController();
      const victim = (other.run(0, { name: "spin", signal: abort.signal }) as Promise<unknown>).catch(
        () => {},
      );
      await new Promise((resolve) => setTimeout(resolve, 20));
      const start = performance.now();
      abort.abort();
      await other.run(1);
      const took = performance.now() - start;
      await victim;
      return took;
    },
  });
  rows.push({
    what: "next result after a kill, one thread",
    unit: "ms",
    values,
    bounds: [bound("at most 5 ms", values.get("Taskloom")! <= 5)],
  });
  await one.shutdown();
  await other.destroy();
}

async function responsiveness(): Promise<void> {
  const busy = (ms: number): void => {
    const end = performance.now() + ms;
    while (performance.now() < end);
  };
  const delay = async (work: () => Promise<unknown>): Promise<number> => {
    const histogram = monitorEventLoopDelay({ resolution: 1 });
    histogram.enable();
    await work();
    histogram.disable();
    return histogram.percentile(99) / 1e6;
  };
  const values = await inTurns(7, {
    Taskloom: () => delay(() => Promise.all(Array.from({ length: 40 }, () => pool.submit(busy, 50)))),
    "in place": () =>
      delay(async () => {
        for (let i = 0; i < 50; i++) {
          busy(50);
          await new Promise((resolve) => setImmediate(resolve));
        }
      }),
  });
  rows.push({
    what: "event-loop delay p99 while every thread computes",
    unit: "ms",
    values,
    bounds: [bound("at most 5 ms", values.get("Taskloom")! <= 5)],
  });
}

async function behindSlow(): Promise<void> {
  const sometimes = (ms: number): number => {
    const end = performance.now() + ms;
    while (performance.now() < end);
    return ms;
  };
  await Promise.all(Array.from({ length: 2000 }, () => pool.submit(sometimes, 0)));
  const values = await inTurns(9, {
    Taskloom: async () => {
      // All calls are quick except one, which the pool cannot know. The row shows its cost for the calls
      // around it.
      const start = performance.now();
      const ends: number[] = [];
      const all = Array.from({ length: 200 }, (_, i) => {
        const task = pool.submit(sometimes, i === 100 ? 100 : 0);
        return task.then(() => {
          if (i !== 100) ends.push(performance.now() - start);
        });
      });
      await Promise.all(all);
      return quantile(ends, 1);
    },
  });
  rows.push({
    what: "slowest of 199 trivial calls around one of 100 ms",
    unit: "ms",
    values,
    bounds: [bound("at most the time cap (4 ms) and 2 ms to be run", values.get("Taskloom")! <= 6)],
  });
}

const measures = {
  concurrent,
  serial,
  mapping,
  typedArrays,
  streaming,
  megabytes,
  records,
  killing,
  responsiveness,
  behindSlow,
};
const only = process.argv.slice(3);
for (const [name, measure] of Object.entries(measures))
  if (only.length === 0 || only.includes(name)) await measure();
print(rows);
await Promise.all([pool.shutdown(), ...peers.map((peer) => peer.close())]);
if (rows.some((row) => row.bounds.some(({ holds }) => !holds))) process.exitCode = 1;
