/**
 * One queue on one, four and eight Redis servers.
 *
 * 1. **Counted**: the processor time of Redis and the commands for each job, with one and with four shards, and the evenness
 *    of the load. BullMQ with a queue for each server shows the processor time that four servers on one machine cost anyway. The count of commands depends little on the speed of the machine. The processor time is the least of some
 *    rounds that alternate, since other programs on the machine make it longer.
 * 2. **Throttled**: each server is held to an eighth of a core (`throttle.ts`), so that a machine with two cores shows what
 *    more servers would do. A backlog is completed for some seconds by one worker process. BullMQ is the peer, with a queue
 *    and a worker for each server, since it has no shards.
 */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { TaskQueue, defineTask } from "@taskloom/queue";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { kill, told } from "../child-process.ts";
import { privateRedis } from "../queue/redis.ts";
import type { PrivateServer } from "../queue/redis.ts";

const SHARE = Number(process.env["BENCH_SHARE"] ?? 1 / 8);
const SECONDS = Number(process.env["BENCH_SECONDS"] ?? 5);
const JOBS = Number(process.env["BENCH_JOBS"] ?? 40_000);
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 5);
/** The commands of a client and a worker on the path of jobs: scripts, waits for jobs, and reads of replies. */
const COUNTED = ["evalsha", "eval", "bzpopmin", "xread"] as const;
const only = process.argv.slice(3);
const sides = ["Taskloom", "BullMQ"] as const;
type Side = (typeof sides)[number];
const COMPLETED = { Taskloom: "taskloom:default.loop:completed", BullMQ: "bull:raw:completed" } as const;
const work = defineTask({ name: "bench.shards" }, async (n: number) => n);
let missed = 0;

async function withServers<T>(
  count: number,
  body: (servers: readonly PrivateServer[]) => Promise<T>,
): Promise<T> {
  const servers: PrivateServer[] = [];
  try {
    for (let at = 0; at < count; at++) servers.push(await privateRedis());
    return await body(servers);
  } finally {
    for (const server of servers) await server.stop();
  }
}

const addressOf = (servers: readonly PrivateServer[]): string =>
  `redis://${servers.map(({ url }) => url.slice("redis://".length)).join(",")}`;

async function fill(side: Side, servers: readonly PrivateServer[], count: number): Promise<void> {
  if (side === "Taskloom") {
    const queue = new TaskQueue({ engine: addressOf(servers) });
    await queue.connect();
    for (let from = 0; from < count; from += 5_000) {
      const tasks = Array.from({ length: Math.min(5_000, count - from) }, (_, n) => queue.submit(work, n));
      for (const task of tasks) task.then(undefined, () => {});
      await Promise.all(tasks.map((task) => task.sent()));
    }
    await queue.close();
    return;
  }
  for (const { url } of servers) {
    const connection = new Redis(url, { maxRetriesPerRequest: null });
    const queue = new Queue("raw", { connection });
    const opts = { removeOnComplete: { age: 3_600 } };
    for (let left = Math.ceil(count / servers.length); left > 0; left -= 1_000)
      await queue.addBulk(
        Array.from({ length: Math.min(1_000, left) }, (_, n) => ({ name: "job", data: n, opts })),
      );
    await queue.close();
    connection.disconnect();
  }
}

function startWorker(side: Side, servers: readonly PrivateServer[]): ChildProcess {
  return fork(fileURLToPath(new URL("child.ts", import.meta.url)), [side, ...servers.map(({ url }) => url)], {
    execArgv: ["--conditions=@taskloom/source"],
  });
}

async function completedBy(worker: ChildProcess): Promise<number> {
  const answer = told(worker, "completed");
  worker.send({});
  return Number(await answer);
}

interface Usage {
  /** The processor time, in microseconds. */
  readonly cpu: number;
  /** The counted commands by their names. */
  readonly commands: readonly number[];
  /** All commands that the server has executed, those within scripts too. */
  readonly executed: number;
  readonly completed: number;
}

/** Returns the usage of each server so far. */
async function usage(side: Side, servers: readonly PrivateServer[]): Promise<Usage[]> {
  return await Promise.all(
    servers.map(async ({ url }) => {
      const redis = new Redis(url);
      const info = `${await redis.info("cpu")}${await redis.info("stats")}${await redis.info("commandstats")}`;
      const number = (name: string): number => Number(new RegExp(`${name}([\\d.]+)`).exec(info)?.[1] ?? 0);
      const executed = [...info.matchAll(/^cmdstat_[^:]+:calls=(\d+)/gm)].reduce(
        (sum, [, calls]) => sum + Number(calls),
        0,
      );
      const completed = await redis.zcard(COMPLETED[side]);
      redis.disconnect();
      return {
        cpu: (number("used_cpu_user:") + number("used_cpu_sys:")) * 1e6,
        commands: COUNTED.map((name) => number(`cmdstat_${name}:calls=`)),
        executed,
        completed,
      };
    }),
  );
}

interface Counted {
  /** The processor time of a job, in microseconds. */
  readonly cpu: number;
  /** The counted commands for a job, by their names. */
  readonly commands: readonly number[];
  /** The commands for a job that the server has executed, those within scripts too. */
  readonly executed: number;
  readonly spread: number;
}

async function counted(side: Side, count: number): Promise<Counted> {
  return await withServers(count, async (servers) => {
    const worker = startWorker(side, servers);
    await told(worker, "ready");
    const finish = async (jobs: number): Promise<void> => {
      await fill(side, servers, jobs);
      while ((await completedBy(worker)) < total + jobs) await delay(50);
      total += jobs;
    };
    let total = 0;
    // The connections are open and the scripts are loaded before the measurement.
    await finish(1_000);
    const before = await usage(side, servers);
    await finish(JOBS);
    await delay(500); // The last ends are on their way.
    const after = await usage(side, servers);
    await kill(worker);
    const sum = (read: (server: Usage) => number): number =>
      after.reduce((whole, each, at) => whole + read(each) - read(before[at]!), 0);
    const loads = after.map(({ completed }, at) => completed - before[at]!.completed);
    return {
      cpu: sum(({ cpu }) => cpu) / JOBS,
      executed: sum(({ executed }) => executed) / JOBS,
      commands: COUNTED.map((_, at) => sum(({ commands }) => commands[at]!) / JOBS),
      spread: Math.max(...loads) / Math.min(...loads) - 1,
    };
  });
}

async function throttled(side: Side, count: number): Promise<{ rate: number; share: number }> {
  return await withServers(count, async (servers) => {
    await fill(side, servers, Math.ceil(SECONDS * 2 * 8_000 * count * SHARE * 8));
    const pids = servers.map(({ pid }) => String(pid));
    const throttle = fork(fileURLToPath(new URL("throttle.ts", import.meta.url)), [String(SHARE), ...pids]);
    const worker = startWorker(side, servers);
    try {
      await told(worker, "ready");
      await delay(1_500);
      const [cpuBefore, doneBefore, begun] = [
        await usage(side, servers),
        await completedBy(worker),
        performance.now(),
      ];
      await delay(SECONDS * 1_000);
      const [done, ended, cpuAfter] = [
        await completedBy(worker),
        performance.now(),
        await usage(side, servers),
      ];
      const cpu = cpuAfter.reduce((sum, each, at) => sum + each.cpu - cpuBefore[at]!.cpu, 0) / servers.length;
      return { rate: ((done - doneBefore) / (ended - begun)) * 1_000, share: cpu / 1_000 / (ended - begun) };
    } finally {
      await kill(worker);
      await kill(throttle);
      for (const { pid } of servers) process.kill(pid, "SIGCONT");
    }
  });
}

/** Prints a ratio and its bound. */
function bound(name: string, value: number, limit: number, isLeast: boolean): void {
  const holds = isLeast ? value >= limit : value <= limit;
  if (!holds) missed++;
  console.log(
    `  ${name}: ${value.toFixed(3)} (${isLeast ? "at least" : "at most"} ${limit})${holds ? "" : "  MISSED"}`,
  );
}

if (only.length === 0 || only.includes("counted")) {
  console.log(`Counted, ${JOBS} jobs, processor time of Redis and commands for each job`);
  const rounds = new Map<number, Counted[]>([1, 4].map((shards) => [shards, []]));
  const peer = new Map<number, number[]>([1, 4].map((servers) => [servers, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [shards, rows] of rounds) rows.push(await counted("Taskloom", shards));
    for (const [servers, times] of peer) times.push((await counted("BullMQ", servers)).cpu);
  }
  const [one, four] = [...rounds].map(([shards, rows]) => {
    const cpu = Math.min(...rows.map((row) => row.cpu));
    const commands = COUNTED.map((_, at) => Math.min(...rows.map((row) => row.commands[at]!)));
    const trips = commands.reduce((whole, each) => whole + each, 0);
    const executed = Math.min(...rows.map((row) => row.executed));
    const spread = Math.max(...rows.map((row) => row.spread));
    const named = COUNTED.map((name, at) => `${name} ${commands[at]!.toFixed(4)}`).join(", ");
    console.log(
      `  ${shards} shard(s): ${cpu.toFixed(1)} µs, ${trips.toFixed(4)} commands (${named}), which executed ${executed.toFixed(2)}, load even within ${(spread * 100).toFixed(1)} %`,
    );
    return { cpu, trips, executed, spread };
  });
  bound("processor time of four shards / one", four!.cpu / one!.cpu, 1.05, false);
  const [alone, apart] = [...peer.values()].map((times) => Math.min(...times)) as [number, number];
  console.log(
    `  processor time of BullMQ, four queues on four servers / one on one: ${(apart / alone).toFixed(3)} (${alone.toFixed(1)} µs, ${apart.toFixed(1)} µs)`,
  );
  bound("commands of four shards / one", four!.trips / one!.trips, 1.05, false);
  bound("commands executed, those within scripts too", four!.executed / one!.executed, 1.05, false);
  bound("spread of the load", four!.spread, 0.1, false);
}
if (only.length === 0 || only.includes("throttled")) {
  console.log(`Throttled, each server at ${(SHARE * 100).toFixed(1)} % of a core, ${SECONDS} s of a backlog`);
  for (const side of sides) {
    const rates: number[] = [];
    for (const shards of [1, 4, 8]) {
      const { rate, share } = await throttled(side, shards);
      rates.push(rate);
      console.log(
        `  ${side}, ${shards} server(s): ${Math.round(rate)} jobs/s, ${(rate / rates[0]!).toFixed(2)}x one; each server used ${(share * 100).toFixed(1)} % of a core`,
      );
    }
    if (side === "Taskloom") {
      bound("four shards / one", rates[1]! / rates[0]!, 3.4, true);
      bound("eight shards / one", rates[2]! / rates[0]!, 6, true);
    }
  }
}
if (missed > 0) process.exitCode = 1;
