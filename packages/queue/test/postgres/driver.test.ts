import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { LATEST_SCHEMA_VERSION, Queue, createPostgresBackend } from "bullmq";
import type pg from "pg";
import { expect, test } from "vitest";
import { postgresTest, testPool } from "../../../../test/support/postgres.ts";
import { anyBackend } from "../../src/bullmq/any-backend.ts";
import type { ClaimTerms, RunEnd } from "../../src/contract/lane-driver.ts";
import type { NewJob } from "../../src/contract/lane-queue.ts";
import { MIGRATIONS, installFunctions } from "../../src/engines/postgres/driver/install-functions.ts";
import { knowsLayout } from "../../src/engines/postgres/driver/layout.ts";
import { PostgresDriver } from "../../src/engines/postgres/driver/postgres-driver.ts";
import { sessionOf } from "../../src/engines/postgres/driver/sql-session.ts";
import type { SqlSession } from "../../src/engines/postgres/driver/sql-session.ts";
import { postgresTransient } from "../../src/engines/postgres/postgres-transient.ts";

const digest = (texts: readonly string[]): string =>
  createHash("sha256").update(texts.join("\n")).digest("hex");

/** A lane of one test, with its driver. */
interface Lane {
  readonly driver: PostgresDriver;
  readonly queue: Queue;
  readonly pool: pg.Pool;
  /** The statements of the driver so far. */
  readonly statements: string[];
}

const SCHEMA = "bullmq";

const driverTest = postgresTest.extend<{ lane: Lane }>({
  lane: async ({ postgres, task }, use) => {
    const pool = testPool({ connectionString: postgres, options: `-c search_path=${SCHEMA}` });
    const backend = createPostgresBackend(task.id, {
      connection: { connectionString: postgres, migrate: true },
    });
    await backend.waitUntilReady();
    const session = await pool.connect();
    await installFunctions(sessionOf(session), SCHEMA);
    session.release();
    const queue = new Queue(
      task.id,
      { connection: {}, skipMetasUpdate: true },
      anyBackend(() => backend),
    );
    const statements: string[] = [];
    const counted: SqlSession = {
      query: (text, params) => {
        statements.push(text);
        return sessionOf(pool).query(text, params);
      },
    };
    await use({
      driver: new PostgresDriver({ pool: counted, schema: SCHEMA, queue }),
      queue,
      pool,
      statements,
    });
    await queue.close();
    await pool.end();
  },
});

const jobs = (count: number): NewJob[] =>
  Array.from({ length: count }, () => ({
    name: "add",
    data: { args: [] } as unknown as NewJob["data"],
    opts: {},
  }));

const claim = (count: number, token = "token"): ClaimTerms => ({
  count,
  token,
  lockDuration: 30_000,
  workerName: undefined,
});

const endOf = (id: string, fields: Partial<RunEnd> = {}): RunEnd => ({
  id,
  token: "token",
  outcome: "completed",
  text: "1",
  stacktrace: undefined,
  finishedOn: Date.now(),
  keep: { count: -1 },
  opts: {},
  ...fields,
});

test("BullMQ's migrations are the ones that the driver's functions mirror", () => {
  // If this fails, BullMQ has changed its tables or functions: compare them with the functions of the driver, run the
  // comparison in test/conformance/bullmq with many seeds, and only then change the digest and the known version.
  const scripts: { SQL_MIGRATIONS: Record<string, string> } = createRequire(import.meta.url)(
    "bullmq/dist/cjs/postgres/sql-scripts.js",
  );
  expect(LATEST_SCHEMA_VERSION).toBe(11);
  expect(digest(Object.values(scripts.SQL_MIGRATIONS))).toBe(
    "6c67f09a0b07aa5605e55535dd87e68fb1abc657f9ff4495a3bcc2e33a67abba",
  );
});

test("a released migration of the driver's functions does not change", () => {
  expect(MIGRATIONS.map((text) => digest([text]))).toEqual([
    "d548ba3592c6722b69aed743387ebc31909af8ba214952142478683435a36ab0",
  ]);
});

driverTest("the driver knows BullMQ's layout, and no other", async ({ lane: { pool } }) => {
  expect(await knowsLayout(sessionOf(pool), SCHEMA)).toBe(true);
  expect(await knowsLayout(sessionOf(pool), "public")).toBe(false);
  await pool.query("INSERT INTO migration (version, name, min_client_version) VALUES (12, '0012_new', 6)");
  expect(await knowsLayout(sessionOf(pool), SCHEMA)).toBe(false);
  await pool.query("DELETE FROM migration WHERE version = 12");
});

driverTest("processes that start at once install the functions once", async ({ lane: { pool } }) => {
  await pool.query("DROP TABLE taskloom_migration");
  const sessions = await Promise.all(Array.from({ length: 5 }, () => pool.connect()));
  await Promise.all(sessions.map((session) => installFunctions(sessionOf(session), SCHEMA)));
  for (const session of sessions) session.release();
  const { rows } = await pool.query("SELECT version FROM taskloom_migration");
  expect(rows).toEqual([{ version: 1 }]);
});

driverTest("a turn is one statement, and a large one is split", async ({ lane: { driver, statements } }) => {
  await driver.add(jobs(1_200));
  expect(statements.length).toBe(3);
  const { jobs: claimed } = await driver.turn([], claim(1_200));
  expect(claimed.length).toBe(1_200);
  expect(statements.length).toBe(4);
  const { refusals } = await driver.turn(
    claimed.map(({ id }) => endOf(id)),
    undefined,
  );
  expect(refusals).toEqual(Array.from({ length: 1_200 }, () => undefined));
  expect(statements.length).toBe(7);
  const [first, second] = claimed;
  const large = { text: JSON.stringify("x".repeat(3_000_000)) };
  await driver.turn([endOf(first!.id, large), endOf(second!.id, large)], undefined);
  expect(statements.length).toBe(9);
});

driverTest("an end that cannot be stored is refused alone", async ({ lane: { driver, queue } }) => {
  await driver.add(jobs(4));
  const { jobs: claimed } = await driver.turn([], claim(3));
  const [first, second, third] = claimed.map(({ id }) => id);
  const ends = [
    endOf(first!),
    endOf(second!, { text: '"\\u0000"' }),
    endOf(third!, { outcome: "failed", text: "a NUL: \0" }),
  ];
  const { refusals, jobs: next } = await driver.turn(ends, claim(5));
  expect(refusals).toEqual([
    undefined,
    expect.objectContaining({ code: "22P05" }),
    expect.objectContaining({ code: "22021" }),
  ]);
  expect(next.length).toBe(1);
  expect(await queue.getJobCounts("active", "completed")).toEqual({ active: 3, completed: 1 });
});

driverTest("a job that cannot be added is refused alone", async ({ lane: { driver, queue } }) => {
  const [usual] = jobs(1);
  const answers = await driver.add([
    usual!,
    { ...usual!, opts: { jobId: "12" } },
    { ...usual!, data: { args: ["\0"] } as unknown as NewJob["data"] },
    { ...usual!, opts: { parent: { id: "none", queue: queue.qualifiedName } } },
    { ...usual!, opts: { jobId: "own" } },
  ]);
  expect(answers).toEqual([
    expect.any(String),
    expect.objectContaining({ message: "Custom Id cannot be integers" }),
    expect.objectContaining({ code: "22P05" }),
    expect.objectContaining({ code: -5 }),
    "own",
  ]);
  expect(await queue.getJobCounts("waiting")).toEqual({ waiting: 2 });
});

driverTest(
  "a turn whose session ends throws, and stores nothing",
  async ({ lane: { driver, pool, queue } }) => {
    await driver.add(jobs(2));
    const { jobs: claimed } = await driver.turn([], claim(1));
    const holder = await pool.connect();
    await holder.query("BEGIN");
    await holder.query("SELECT 1 FROM job WHERE queue = $1 AND id = $2 FOR UPDATE", [
      queue.name,
      claimed[0]!.id,
    ]);
    const turn = driver.turn([endOf(claimed[0]!.id)], claim(1)).catch((error: unknown) => error);
    await expect
      .poll(async () => {
        const { rows } = await pool.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE wait_event_type = 'Lock' AND query LIKE '%taskloom_turn_v1%' AND pid <> pg_backend_pid()`,
        );
        return rows.length;
      })
      .toBe(1);
    expect(postgresTransient(await turn)).toBe("cut");
    await holder.query("ROLLBACK");
    holder.release();
    expect(await queue.getJobCounts("active", "waiting", "completed")).toEqual({
      active: 1,
      waiting: 1,
      completed: 0,
    });
  },
);

driverTest("turns at once claim each job once", async ({ lane: { driver } }) => {
  await driver.add(jobs(200));
  const turns = Array.from({ length: 10 }, (_, n) => driver.turn([], claim(30, `token-${n}`)));
  const ids = (await Promise.all(turns)).flatMap(({ jobs: claimed }) => claimed.map(({ id }) => id));
  expect(new Set(ids).size).toBe(200);
  expect(ids.length).toBe(200);
});
