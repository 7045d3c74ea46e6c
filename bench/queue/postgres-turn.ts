/**
 * The cost of a job on PostgreSQL: through BullMQ's own Worker, and through the driver's turns. Both sides end empty jobs at
 * a concurrency of 100, in turns, in one database of the bench's own with synchronous_commit on.
 *
 * Run it with `node --conditions=@taskloom/source bench/queue/postgres-turn.ts`.
 */
import { randomUUID } from "node:crypto";
import { userInfo } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { Queue, Worker, createPostgresBackend } from "bullmq";
import pg from "pg";
import { anyBackend } from "../../packages/queue/src/bullmq/any-backend.ts";
import type { RunEnd } from "../../packages/queue/src/contract/lane-driver.ts";
import type { NewJob } from "../../packages/queue/src/contract/lane-queue.ts";
import { installFunctions } from "../../packages/queue/src/engines/postgres/driver/install-functions.ts";
import { PostgresDriver } from "../../packages/queue/src/engines/postgres/driver/postgres-driver.ts";
import { sessionOf } from "../../packages/queue/src/engines/postgres/driver/sql-session.ts";

const CONCURRENCY = 100;
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 3);
const COUNTS = { BullMQ: 2_000, driver: 20_000 };
const KEEP = { age: 3_600 };
const SCHEMA = "bullmq";

type Side = keyof typeof COUNTS;
interface Figures {
  readonly rate: number;
  readonly commits: number;
}

const base = new URL(process.env["TASKLOOM_TEST_POSTGRES_URL"] ?? "postgres://127.0.0.1:5432/postgres");
if (base.username === "") base.username = userInfo().username;
const database = `taskloom_bench_${randomUUID().slice(0, 8)}`;
const url = new URL(`/${database}`, base).href;
const server = new pg.Client({ connectionString: base.href });
const backend = anyBackend((name, options, terms) => createPostgresBackend(name, options as never, terms));

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

async function commits(): Promise<number> {
  await delay(300); // A session that ends reports its transactions a little later.
  const { rows } = await server.query<{ commits: string }>(
    "SELECT xact_commit AS commits FROM pg_stat_database WHERE datname = $1",
    [database],
  );
  return Number(rows[0]?.commits);
}

async function withDriver<T>(name: string, body: (driver: PostgresDriver) => Promise<T>): Promise<T> {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  pool.on("error", () => {});
  const queue = new Queue(name, { connection: pool, skipMetasUpdate: true }, backend);
  const driver = new PostgresDriver({
    pool: sessionOf(pool),
    schema: SCHEMA,
    queue,
  });
  try {
    return await body(driver);
  } finally {
    await queue.close();
    await pool.end();
  }
}

/** Adds jobs, and returns how many were added in a second. */
async function fill(name: string, count: number): Promise<number> {
  return await withDriver(name, async (driver) => {
    const from = performance.now();
    for (let added = 0; added < count; added += 500) {
      const jobs: NewJob[] = Array.from({ length: Math.min(500, count - added) }, (_, n) => ({
        name: "increment",
        data: { args: [added + n] } as unknown as NewJob["data"],
        opts: { removeOnComplete: KEEP, removeOnFail: KEEP },
      }));
      await driver.add(jobs);
    }
    return (count / (performance.now() - from)) * 1_000;
  });
}

const runs: Record<Side, (name: string, count: number) => Promise<void>> = {
  async BullMQ(name, count) {
    const options = { connectionString: url, options: `-c search_path=${SCHEMA}`, max: 20 };
    const pool = new pg.Pool(options);
    pool.on("error", () => {});
    let ended = 0;
    const over = Promise.withResolvers<void>();
    const worker = new Worker(
      name,
      async () => 1,
      { connection: pool, concurrency: CONCURRENCY, removeOnComplete: KEEP },
      backend,
    );
    worker.on("completed", () => {
      if (++ended === count) over.resolve();
    });
    worker.on("error", over.reject);
    await over.promise;
    await worker.close();
    await pool.end();
  },

  async driver(name, count) {
    await withDriver(name, async (driver) => {
      const token = randomUUID();
      let ends: RunEnd[] = [];
      for (let ended = 0; ended < count; ended += ends.length) {
        const claim = { count: CONCURRENCY, token, lockDuration: 30_000, workerName: undefined };
        const { jobs, refusals } = await driver.turn(ends, claim);
        if (refusals.some((refusal) => refusal !== undefined)) throw new Error("An end was refused");
        ends = jobs.map(({ id }) => ({
          id,
          token,
          outcome: "completed",
          text: "1",
          stacktrace: undefined,
          finishedOn: Date.now(),
          keep: KEEP,
          opts: {},
        }));
      }
      await driver.turn(ends, undefined);
    });
  },
};

async function measure(side: Side, round: number): Promise<Figures> {
  const name = `${side}-${round}`;
  const count = COUNTS[side];
  await fill(name, count);
  const before = await commits();
  const from = performance.now();
  await runs[side](name, count);
  const took = performance.now() - from;
  return { rate: (count / took) * 1_000, commits: ((await commits()) - before) / count };
}

await server.connect();
await server.query(`CREATE DATABASE ${database}`);
try {
  const first = createPostgresBackend("first", { connection: { connectionString: url, migrate: true } });
  await first.waitUntilReady();
  await first.close();
  const session = new pg.Client({ connectionString: url });
  await session.connect();
  await installFunctions(sessionOf(session), SCHEMA);
  const { rows } = await session.query<{ mode: string }>(
    "SELECT current_setting('synchronous_commit') AS mode",
  );
  await session.end();
  console.log(`synchronous_commit ${rows[0]?.mode}; add: ${Math.round(await fill("added", 20_000))} jobs/s`);

  const figures: Record<Side, Figures[]> = { BullMQ: [], driver: [] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const side of ["BullMQ", "driver"] as const) figures[side].push(await measure(side, round));
  }
  const rateOf = (side: Side): number => median(figures[side].map(({ rate }) => rate));
  for (const side of ["BullMQ", "driver"] as const) {
    const perJob = median(figures[side].map(({ commits: each }) => each));
    console.log(`${side}: ${Math.round(rateOf(side))} jobs/s, ${perJob.toFixed(3)} commits per job`);
  }
  console.log(`ratio ${(rateOf("driver") / rateOf("BullMQ")).toFixed(1)}x`);
} finally {
  await server.query(`DROP DATABASE ${database} WITH (FORCE)`);
  await server.end();
}
