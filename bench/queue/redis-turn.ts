/**
 * Redis' processor time per job, through BullMQ's own scripts and through the driver of a lane, on one Redis of the bench's
 * own. `node --conditions=@taskloom/source bench/queue/redis-turn.ts [JOBS]` prints microseconds and their ratios.
 *
 * BullMQ's side works as its Worker does: each end fetches the next job in the same script. Both sides have the same ids,
 * options and retention, and the same number of jobs runs at a time. Every figure is the median of five rounds in which the sides take turns.
 */
import { randomBytes } from "node:crypto";
import { Queue } from "bullmq";
import type { MinimalJob } from "bullmq";
import { Redis } from "ioredis";
import type { RunEnd } from "../../packages/queue/src/contract/lane-driver.ts";
import type { NewJob } from "../../packages/queue/src/contract/lane-queue.ts";
import { RedisDriver, driverScripts } from "../../packages/queue/src/engines/redis/driver/redis-driver.ts";
import { unrepeating } from "../../packages/queue/src/engines/redis/redis-client.ts";
import { UnrepeatedConnection } from "../../packages/queue/src/engines/redis/unrepeated-connection.ts";
import { privateRedis } from "./redis.ts";

const JOBS = Number(process.argv[2] ?? 5_000);
const ROUNDS = 5;
const RUNNING = 64;
const ADDED_AT_ONCE = 100;
const LOCK_MS = 30_000;
const keep = { age: 3_600 };
const token = "bench:1";

type Figures = Record<"add" | "run", number>;

const server = await privateRedis();
const client = new Redis(server.url, { maxRetriesPerRequest: null });
let number = 0;

/** Returns the microseconds of Redis' processor that a part of the bench took, per job. */
async function cost(body: () => Promise<void>): Promise<number> {
  const before = await processorTime();
  await body();
  return ((await processorTime()) - before) / JOBS;
}

/** Returns the time that Redis' main thread has used so far, in microseconds. */
async function processorTime(): Promise<number> {
  const info = await client.info("cpu");
  const part = (name: string): number => Number(new RegExp(`^${name}:([\\d.]+)`, "m").exec(info)?.[1]);
  return (part("used_cpu_user_main_thread") + part("used_cpu_sys_main_thread")) * 1e6;
}

async function withQueue(body: (queue: Queue) => Promise<Figures>): Promise<Figures> {
  const options = { connection: client, prefix: "bench", skipMetasUpdate: true, lockDuration: LOCK_MS };
  const queue = new Queue(`lane-${number++}`, options);
  await queue.waitUntilReady();
  const figures = await body(queue);
  await client.flushall();
  return figures;
}

/** Returns an id that looks like those of Taskloom. Lua hashes half of a long string, so ids in sequence would collide. */
const randomId = (): string => `01JDXK5Z6B${randomBytes(8).toString("hex").toUpperCase()}`;

const jobsFrom = (first: number): NewJob[] =>
  Array.from({ length: Math.min(ADDED_AT_ONCE, JOBS - first) }, (_, at) => ({
    name: "bench.increment",
    data: { v: 1, version: 1, args: [first + at] },
    opts: { jobId: randomId(), attempts: 1, removeOnComplete: keep },
  }));

async function addAll(add: (jobs: NewJob[]) => Promise<unknown>): Promise<void> {
  for (let first = 0; first < JOBS; first += ADDED_AT_ONCE) await add(jobsFrom(first));
}

function throughBullMQ(running: number): Promise<Figures> {
  return withQueue(async (queue) => {
    const { backend } = queue;
    const add = await cost(() => addAll((jobs) => queue.addBulk(jobs)));
    let ended = 0;
    const chain = async (): Promise<void> => {
      let [record, id]: unknown[] = await backend.moveToActive(token);
      while (record != null) {
        const job = { id: String(id), opts: { attempts: 1 } } as unknown as MinimalJob;
        const { result } = await backend.moveToCompleted(job, ended++, keep, token, true);
        [record, id] = Array.isArray(result) ? result : [];
      }
    };
    const run = await cost(async () => {
      await Promise.all(Array.from({ length: running }, chain));
    });
    if (ended !== JOBS) throw new Error(`BullMQ ended ${ended} of ${JOBS} jobs`);
    return { add, run };
  });
}

function throughDriver(turnSize: number): Promise<Figures> {
  return withQueue(async (queue) => {
    const connection = new UnrepeatedConnection(() => unrepeating(client), driverScripts, 3);
    const driver = new RedisDriver(queue, { connection });
    const add = await cost(() => addAll((jobs) => driver.add(jobs)));
    let ended = 0;
    const run = await cost(async () => {
      const claim = { token, lockDuration: LOCK_MS, workerName: undefined };
      const { jobs } = await driver.turn([], { ...claim, count: RUNNING });
      const running = jobs.map(({ id }) => id);
      while (running.length > 0) {
        const ends = running.splice(0, turnSize).map(endOf);
        ended += ends.length;
        const answer = await driver.turn(ends, { ...claim, count: ends.length });
        running.push(...answer.jobs.map(({ id }) => id));
        const refusal = answer.refusals.find((each) => each !== undefined);
        if (refusal !== undefined) throw refusal;
      }
    });
    connection.close();
    if (ended !== JOBS) throw new Error(`The driver ended ${ended} of ${JOBS} jobs`);
    return { add, run };
  });
}

const endOf = (id: string): RunEnd => ({
  id,
  token,
  outcome: "completed",
  text: "1",
  stacktrace: undefined,
  finishedOn: Date.now(),
  keep,
  opts: { attempts: 1 },
});

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
const medianOf = (rounds: readonly Figures[], part: keyof Figures): number =>
  median(rounds.map((each) => each[part]));

/** The measured sides: BullMQ with so many jobs at a time, and the driver with turns of so many jobs. */
const sides = new Map<string, { readonly measure: () => Promise<Figures>; readonly peer: string }>([
  ["BullMQ, 64 jobs at a time", { measure: () => throughBullMQ(RUNNING), peer: "BullMQ, 64 jobs at a time" }],
  ["driver, turns of 64", { measure: () => throughDriver(64), peer: "BullMQ, 64 jobs at a time" }],
  ["driver, turns of 8", { measure: () => throughDriver(8), peer: "BullMQ, 64 jobs at a time" }],
  ["BullMQ, one job at a time", { measure: () => throughBullMQ(1), peer: "BullMQ, one job at a time" }],
  ["driver, turns of 1", { measure: () => throughDriver(1), peer: "BullMQ, one job at a time" }],
]);
const rounds = new Map<string, Figures[]>([...sides.keys()].map((name) => [name, []]));
for (let round = -1; round < ROUNDS; round++) {
  for (const [name, { measure }] of sides) {
    const figures = await measure();
    if (round >= 0) rounds.get(name)!.push(figures);
  }
}
for (const [name, { peer }] of sides) {
  const [own, other] = [rounds.get(name)!, rounds.get(peer)!];
  const [add, run] = [medianOf(own, "add"), medianOf(own, "run")];
  const [otherAdd, otherRun] = [medianOf(other, "add"), medianOf(other, "run")];
  const figure = (title: string, value: number, base: number): string =>
    `${title} ${value.toFixed(1)} us (${(value / base).toFixed(2)}x)`;
  const both = figure("together", add + run, otherAdd + otherRun);
  console.log(`${name.padEnd(26)} ${figure("add", add, otherAdd)}  ${figure("run", run, otherRun)}  ${both}`);
}
client.disconnect();
await server.stop();
