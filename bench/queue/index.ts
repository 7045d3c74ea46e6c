/**
 * The cost of a queue beside raw BullMQ, in one run on one Redis of the bench's own. Every figure is the
 * median of rounds in which both sides take turns, so a disturbance of the machine affects both.
 */
import { fork } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { TaskQueue } from "@taskloom/queue";
import { Redis } from "ioredis";
import { privateRedis } from "./redis.ts";
import { client, increment, until } from "./sides.ts";
import type { Client, Side } from "./sides.ts";

const only = process.argv.slice(3);
const rounds = Number(process.env["BENCH_ROUNDS"] ?? 5);
/** The number of measurements of each pair of processes, where there are many pairs. */
const roundsOfPair = 3;
const sides: readonly Side[] = ["Taskloom", "BullMQ"];
const redis = await privateRedis();
const children = new Set<ChildProcess>();
let missed = 0;

function start(role: string, side: Side, count = 0, concurrency = 100): ChildProcess {
  const child = fork(
    fileURLToPath(new URL("child.ts", import.meta.url)),
    [role, side, redis.url, String(count), String(concurrency)],
    {
      execArgv: ["--conditions=@taskloom/source", "--expose-gc"],
    },
  );
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

/** Waits for a message with `key`, and returns its value. */
function told(child: ChildProcess, key: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("message", (message: Record<string, number>) => {
      if (key in message) resolve(message[key]!);
    });
    child
      .setMaxListeners(0)
      .once("exit", (code) => reject(new Error(`A process of the bench ended with ${code}`)));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.removeAllListeners("exit");
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
  children.delete(child);
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
const quantile = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))]!;

/** Measures both sides in turns. The ratio is the ratio of the medians. */
async function compare(
  measure: (side: Side) => Promise<number>,
  times: number = rounds,
): Promise<Record<Side, number>> {
  const samples: Record<Side, number[]> = { Taskloom: [], BullMQ: [] };
  for (let round = -1; round < times; round++) {
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      const value = await measure(side);
      if (round >= 0) samples[side].push(value);
    }
  }
  return { Taskloom: median(samples.Taskloom), BullMQ: median(samples.BullMQ) };
}

/**
 * Measures several processes of each side in turns. The placement of a process by the system has more effect
 * than many of the measured differences, and lasts as long as the process. The ratio is the median of the
 * pairs' ratios.
 */
async function compareProcesses(
  measure: () => Promise<Record<Side, number>>,
): Promise<{ readonly ratio: number; readonly values: Record<Side, number> }> {
  const pairs: Record<Side, number>[] = [];
  for (let pair = 0; pair < 2 * rounds + 1; pair++) pairs.push(await measure());
  const of = (side: Side): number => median(pairs.map((each) => each[side]));
  return {
    ratio: median(pairs.map(({ Taskloom, BullMQ }) => BullMQ / Taskloom)),
    values: { Taskloom: of("Taskloom"), BullMQ: of("BullMQ") },
  };
}

function row(what: string, figures: string, bound: string, holds: boolean): void {
  if (!holds) missed++;
  console.log(`${holds ? "holds " : "MISSED"} ${what}: ${figures} (${bound})`);
}

/** Fills the queue of a side while it is paused, and resolves with the time at which its workers begin. */
async function begin(side: Side, count: number): Promise<number> {
  const filler = await client(side, redis.url);
  await filler.pause();
  await filler.submit(count);
  await filler.close();
  const again = await client(side, redis.url);
  // The time starts when there is work. A worker that ends its first job early has not started later.
  const from = performance.timeOrigin + performance.now();
  await again.resume();
  await again.close();
  return from;
}

/** Returns the processor time of Redis so far, in microseconds. */
async function serverTime(admin: Redis): Promise<number> {
  const info = await admin.info("cpu");
  const seconds = ["used_cpu_user", "used_cpu_sys"].map((name) =>
    Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1]),
  );
  return seconds.reduce((sum, each) => sum + each, 0) * 1_000_000;
}

const perJob = (values: Record<Side, number>): string =>
  sides.map((side) => `${side} ${values[side].toFixed(1)} µs`).join(", ");

const rate = (count: number, values: Record<Side, number>): string =>
  sides.map((side) => `${side} ${Math.round((count / values[side]) * 1_000)}/s`).join(", ");

async function timed(body: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await body();
  return performance.now() - from;
}

async function withClients<T>(body: (clients: Record<Side, Client>) => Promise<T>): Promise<T> {
  const clients = {
    Taskloom: await client("Taskloom", redis.url),
    BullMQ: await client("BullMQ", redis.url),
  };
  try {
    return await body(clients);
  } finally {
    for (const side of sides) await clients[side].close();
  }
}

async function withWorkers<T>(body: () => Promise<T>): Promise<T> {
  const workers = sides.map((side) => start("worker", side));
  await Promise.all(workers.map((each) => told(each, "ready")));
  try {
    return await body();
  } finally {
    await Promise.all(workers.map(end));
  }
}

const benches: Record<string, () => Promise<void>> = {
  async throughput() {
    const count = 5_000;
    const { ratio, values } = await compareProcesses(async () => {
      const workers = {
        Taskloom: start("worker", "Taskloom", count),
        BullMQ: start("worker", "BullMQ", count),
      };
      for (const side of sides) await told(workers[side], "ready");
      // In each round, the queue is filled while it is paused.
      const times = await compare(async (side) => {
        const ended = told(workers[side], "endedAt");
        const from = await begin(side, count);
        return (await ended) - from;
      }, roundsOfPair);
      for (const side of sides) await end(workers[side]);
      return times;
    });
    row(
      "worker throughput, concurrency 100",
      `${ratio.toFixed(2)}x; ${rate(count, values)}`,
      "at least 3x",
      ratio >= 3,
    );
  },

  async cost() {
    const count = 10_000;
    const admin = new Redis(redis.url);
    const figures: Record<string, Record<Side, number[]>> = {
      "Redis' processor time, add and run": { Taskloom: [], BullMQ: [] },
      "a worker's processor time": { Taskloom: [], BullMQ: [] },
      "a client's processor time, submit": { Taskloom: [], BullMQ: [] },
    };
    const [server, worker, submit] = Object.values(figures) as [
      Record<Side, number[]>,
      Record<Side, number[]>,
      Record<Side, number[]>,
    ];
    for (let round = 0; round < rounds; round++) {
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
        const submitter = start("submitter", side, count);
        await told(submitter, "ready");
        const before = await serverTime(admin);
        const submitted = told(submitter, "submitted");
        submitter.send("go");
        submit[side].push((await submitted) / count);
        const between = await serverTime(admin);
        await end(submitter);
        const running = start("worker", side, count + 1_000);
        await told(running, "ready");
        const used = told(running, "cpu");
        const idle = await serverTime(admin);
        const resumer = await client(side, redis.url);
        await resumer.resume();
        await resumer.close();
        worker[side].push((await used) / (count + 1_000));
        const run = (await serverTime(admin)) - idle;
        server[side].push((between - before) / count + run / (count + 1_000));
        await end(running);
      }
    }
    admin.disconnect();
    const bounds = [0.45, 0.4, undefined];
    for (const [at, [what, of]] of Object.entries(figures).entries()) {
      const values = { Taskloom: median(of.Taskloom), BullMQ: median(of.BullMQ) };
      const ratio = values.Taskloom / values.BullMQ;
      const bound = bounds[at];
      const holds = bound === undefined ? values.Taskloom <= 15 : ratio <= bound;
      const text = bound === undefined ? "at most 15 µs" : `at most ${bound}x`;
      row(what, `${ratio.toFixed(2)}x; ${perJob(values)}`, text, holds);
    }
  },

  async workers() {
    const count = 10_000;
    const step = 50;
    const { ratio, values } = await compareProcesses(() =>
      compare(async (side) => {
        const pair = [start("worker", side, step), start("worker", side, step)];
        for (const each of pair) await told(each, "ready");
        // Each worker tells of every `step` jobs, so the last ones of each may not be told.
        const steps = count / step - pair.length;
        const ended = new Promise<number>((resolve) => {
          let done = 0;
          for (const each of pair)
            each.on("message", (message: { endedAt?: number }) => {
              if (message.endedAt !== undefined && ++done === steps) resolve(message.endedAt);
            });
        });
        const from = await begin(side, count);
        const took = (await ended) - from;
        await delay(200); // The last jobs end, so that they are not in the next round.
        await Promise.all(pair.map(end));
        return took;
      }, 1),
    );
    const figures = `${ratio.toFixed(2)}x; ${rate(count, values)}`;
    row("two worker processes", figures, "at least 2.5x two of BullMQ", ratio >= 2.5);
  },

  async concurrency() {
    for (const [concurrency, count] of [
      [1, 1_000],
      [10, 3_000],
      [500, 5_000],
    ] as const) {
      const workers = {
        Taskloom: start("worker", "Taskloom", count, concurrency),
        BullMQ: start("worker", "BullMQ", count, concurrency),
      };
      for (const side of sides) await told(workers[side], "ready");
      const values = await compare(async (side) => {
        const ended = told(workers[side], "endedAt");
        const from = await begin(side, count);
        return (await ended) - from;
      }, roundsOfPair);
      for (const side of sides) await end(workers[side]);
      const ratio = values.BullMQ / values.Taskloom;
      const figures = `${ratio.toFixed(2)}x; ${rate(count, values)}`;
      row(`worker throughput, concurrency ${concurrency}`, figures, "never below BullMQ", ratio >= 1);
    }
  },

  async submit() {
    const count = 10_000;
    const values = await compare(async (side) => {
      // Each round has a client of its own, so that pending work of the round before does not count.
      const own = await client(side, redis.url);
      const took = await timed(() => own.submit(count));
      await own.close();
      return took;
    });
    const ratio = values.BullMQ / values.Taskloom;
    row(
      "submit 10,000 at once",
      `${ratio.toFixed(2)}x; ${rate(count, values)}`,
      "at least 4x addBulk",
      ratio >= 4,
    );
  },

  async calls() {
    const count = 5_000;
    const burst = await compareProcesses(() =>
      withWorkers(() =>
        withClients((clients) => compare((side) => timed(() => clients[side].call(count)), roundsOfPair)),
      ),
    );
    row(
      "submit -> result, 5,000 at once",
      `${burst.ratio.toFixed(2)}x; ${rate(count, burst.values)}`,
      "at least 3x",
      burst.ratio >= 3,
    );
    const serial = await compareProcesses(() =>
      withWorkers(() =>
        withClients((clients) =>
          compare(async (side) => {
            const times: number[] = [];
            for (let n = 0; n < 200; n++) times.push(await timed(() => clients[side].call(1)));
            return median(times);
          }, roundsOfPair),
        ),
      ),
    );
    const times = sides.map((side) => `${side} ${serial.values[side].toFixed(2)} ms`).join(", ");
    const longer = 1 / serial.ratio;
    row("serial round trip, p50", `${longer.toFixed(2)}x; ${times}`, "at most 0.9x", longer <= 0.9);
  },

  async clients() {
    const cpu: Record<Side, number[]> = { Taskloom: [], BullMQ: [] };
    const burst: Partial<Record<Side, number>> = {};
    const count = 2_000;
    for (const others of [4, 16]) {
      for (const side of sides) {
        const worker = start("worker", side);
        await told(worker, "ready");
        const trickles = Array.from({ length: others }, () => start("trickle", side));
        await Promise.all(trickles.map((each) => told(each, "ready")));
        const own = await client(side, redis.url);
        const times: number[] = [];
        for (let round = -1; round < rounds; round++) {
          const took = await timed(() => own.call(count));
          if (round >= 0) times.push(took);
        }
        const used = Promise.all(trickles.map((each) => told(each, "cpu")));
        for (const each of trickles) each.send("over");
        cpu[side].push(median(await used));
        if (others === 16) burst[side] = median(times);
        await own.close();
        await Promise.all([worker, ...trickles].map(end));
      }
    }
    const { Taskloom, BullMQ } = burst as Record<Side, number>;
    const ratio = BullMQ / Taskloom;
    row(
      "calls with 16 other clients",
      `${ratio.toFixed(2)}x; ${rate(count, { Taskloom, BullMQ })}`,
      "at least 4x",
      ratio >= 4,
    );
    const [few = 0, many = 0] = cpu.Taskloom;
    const raw = cpu.BullMQ[1] ?? 0;
    const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
    row(
      "CPU of a further client",
      `${percent(many)} of 16, BullMQ's ${percent(raw)}`,
      "at most a quarter",
      many <= raw / 4,
    );
    row(
      "the same at 4 and at 16",
      `${percent(few)} and ${percent(many)}`,
      "no higher at 16",
      many <= few * 1.25,
    );
  },

  async map() {
    const worker = start("worker", "Taskloom");
    await told(worker, "ready");
    const queue = new TaskQueue({ engine: redis.url });
    const tuples = (count: number): [number][] => Array.from({ length: count }, (_, n) => [n]);
    const packed: number[] = [];
    const single: number[] = [];
    for (let round = -1; round < Math.min(rounds, 3); round++) {
      const all = await timed(async () => {
        const results = await queue.map(increment, tuples(100_000)).toArray();
        if (results[99_999] !== 100_000) throw new Error("The result of a map is wrong");
      });
      // One job for each item is slow, so only a tenth of the items run, and the time counts ten times.
      const tenth = await timed(
        async () => await Promise.all(tuples(10_000).map(([n]) => queue.submit(increment, n))),
      );
      if (round < 0) continue;
      packed.push(all);
      single.push(tenth * 10);
    }
    const ratio = median(single) / median(packed);
    const figures = `${ratio.toFixed(1)}x; ${Math.round(100_000_000 / median(packed))} items/s`;
    row("map of 100,000 tiny items", figures, "at least 10x one job an item", ratio >= 10);
    await queue.close();
    await end(worker);
  },

  async cancel() {
    const worker = start("worker", "Taskloom");
    await told(worker, "ready");
    const queue = new TaskQueue({ engine: redis.url });
    const times: number[] = [];
    for (let n = -50; n < 300; n++) {
      const started = told(worker, "started");
      const stopped = told(worker, "stoppedAt");
      const task = queue.submit(until);
      await started;
      const from = performance.timeOrigin + performance.now();
      task.cancel();
      const took = (await stopped) - from;
      if (n >= 0) times.push(took);
      await task.catch(() => {});
      worker.removeAllListeners();
    }
    const [p50, p99] = [quantile(times, 0.5), quantile(times, 0.99)];
    row(
      "a cancel reaches a running job",
      `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`,
      "p50 at most 2, p99 at most 10",
      p50 <= 2 && p99 <= 10,
    );
    await queue.close();
    await end(worker);
  },

  async memory() {
    const child = start("pending", "Taskloom", 100_000);
    const bytes = await told(child, "bytes");
    await end(child);
    row(
      "memory of a pending task, of 100,000",
      `${Math.round(bytes)} bytes`,
      "at most 2,048",
      bytes <= 2_048,
    );
  },
};

try {
  for (const [name, bench] of Object.entries(benches))
    if (only.length === 0 || only.includes(name)) await bench();
} finally {
  await Promise.all([...children].map(end));
  await redis.stop();
}
if (missed > 0) process.exitCode = 1;
process.exit();
