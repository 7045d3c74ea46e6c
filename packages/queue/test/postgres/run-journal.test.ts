import { createHash } from "node:crypto";
import type pg from "pg";
import { expect, test as plainTest } from "vitest";
import { postgresTest, testPool } from "../../../../test/support/postgres.ts";
import { sessionOf } from "../../src/engines/postgres/driver/sql-session.ts";
import { JOURNAL_MIGRATIONS, installJournal } from "../../src/engines/postgres/journal/install-journal.ts";
import { PostgresJournal } from "../../src/engines/postgres/journal/postgres-journal.ts";
import type { EndDelivery } from "../../src/contract/lane-driver.ts";
import { ChildLane, childTest, endFor } from "../child-lane.ts";
import { append, laneTest } from "../journal-lane.ts";
import { Refusals } from "./once-refused.ts";

const NEVER = Number.POSITIVE_INFINITY;
const SCHEMA = "bullmq";

const engineTest = postgresTest.extend<{ engine: string }>({
  engine: async ({ postgres }, use) => await use(postgres),
});
const endTest = childTest(engineTest);
const test = laneTest(engineTest).extend<{ pool: pg.Pool }>({
  pool: async ({ engine }, use) => {
    const pool = testPool({ connectionString: engine, options: `-c search_path=${SCHEMA}` });
    await use(pool);
    await pool.end();
  },
});

/** A journal that repeats no statement, and the statements that it has sent. */
function countedJournal(pool: pg.Pool): { journal: PostgresJournal; statements: string[] } {
  const statements: string[] = [];
  const session = sessionOf(pool);
  const journal = new PostgresJournal({
    schema: SCHEMA,
    pool: {
      query: (text, params) => {
        statements.push(text);
        return session.query(text, params);
      },
    },
    ready: async () => {},
    listen: () => () => {},
    now: () => Date.now(),
  });
  return { journal, statements };
}

plainTest("a released migration of the journal does not change", () => {
  expect(JOURNAL_MIGRATIONS.map((text) => createHash("sha256").update(text).digest("hex"))).toEqual([
    "eb8c95a6e41e90486d80bf10ff81ef4c686c58180238e9a8301e2731f7abd60e",
    "0792d1d02570a3aaf969f29c0594d016bef3b54fdccdccc28c0bc633cf9e69af",
    "eff83724ed2bd1aff485306696cb3f70517e0a571a2f1d0de002f878d016495b",
  ]);
});

test("processes that start at once install the journal once", async ({ pool, lane }) => {
  expect(lane.engine.state).toBe("open");
  await pool.query(
    `DROP TABLE taskloom_journal_migration, taskloom_run, taskloom_log, taskloom_inbox CASCADE;
      DROP TYPE taskloom_append_answer CASCADE;
      DO $$ DECLARE f regprocedure; BEGIN
        FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = '${SCHEMA}'::regnamespace
          AND (proname LIKE 'taskloom_run%' OR proname LIKE 'taskloom_append%')
        LOOP EXECUTE 'DROP FUNCTION ' || f; END LOOP;
      END $$`,
  );
  const sessions = await Promise.all(Array.from({ length: 5 }, () => pool.connect()));
  await Promise.all(sessions.map((session) => installJournal(sessionOf(session), SCHEMA)));
  for (const session of sessions) session.release();
  const { rows } = await pool.query("SELECT version FROM taskloom_journal_migration");
  expect(rows).toEqual([{ version: 1 }, { version: 2 }, { version: 3 }]);
});

test("an append call is one statement, and a large one is split", async ({ pool, lane }) => {
  const { journal, statements } = countedJournal(pool);
  const claims: Awaited<ReturnType<typeof lane.started>>[] = [];
  // A busy machine does not store 600 jobs within the time that a pool waits for a free connection.
  while (claims.length < 600)
    claims.push(...(await Promise.all(Array.from({ length: 50 }, () => lane.started()))));
  await journal.append(lane.name, [append(claims[0]!.id, 0, ['"1"'])]);
  expect(statements).toHaveLength(1);
  const first = claims.slice(1).map(({ id }) => append(id, 0, ['"1"', '"2"']));
  await journal.append(lane.name, first);
  expect(statements).toHaveLength(1 + 2);
  // Usual appends are stored together, and an unusual one between them by itself.
  const next = claims.slice(1, 400).map(({ id }, n) => append(id, n === 5 ? 9 : 2, [`"${n}"`, '"4"']));
  const answers = await journal.append(lane.name, next);
  expect(statements).toHaveLength(1 + 2 + 1);
  expect(answers.filter(({ kind }) => kind === "ok")).toHaveLength(398);
  expect(answers[5]).toMatchObject({ kind: "short", length: 2, last: '"2"' });
  expect(await journal.read(lane.name, claims[300]!.id, 0, 9)).toEqual(['"1"', '"2"', '"299"', '"4"']);
  for (const { end } of claims) end();
});

test("appends of two processes to the same runs, in any order, do not deadlock", async ({ pool, lane }) => {
  const claims = await Promise.all(Array.from({ length: 40 }, () => lane.started()));
  const { journal } = countedJournal(pool); // A deadlock would reject.
  const lengths = new Map(claims.map(({ id }) => [id, 0]));
  for (let round = 0; round < 30; round++) {
    const appends = claims.map(({ id }) => append(id, lengths.get(id)!, [`"${round}"`]));
    const delivered = claims.map(({ id }) => journal.deliver(lane.name, id, [`"${round}"`]));
    const [forth, back] = await Promise.all([
      journal.append(lane.name, appends),
      journal.append(lane.name, appends.toReversed()),
      journal.sweep(lane.name),
      ...delivered,
    ]);
    // Both appends are the same, so the second one is a repeat.
    expect([...(forth ?? []), ...(back ?? [])].every(({ kind }) => kind === "ok")).toBe(true);
    for (const { id } of claims) lengths.set(id, round + 1);
  }
  expect(await journal.head(lane.name, claims[7]!.id)).toMatchObject({ length: 30, unread: 30 });
  for (const { end } of claims) end();
});

test("a statement that the server refuses is repeated", async ({ engine, lane }) => {
  const { journal, name } = lane;
  const { id, token, leave } = await lane.started();
  await using refusals = await Refusals.at(engine);
  await refusals.add({ table: "taskloom_log", event: "INSERT", when: "true", code: "40P01", times: 2 });
  expect(await journal.append(name, [append(id, 0, ['"1"'])])).toMatchObject([{ kind: "ok" }]);
  expect(await refusals.count()).toBe(3);
  await refusals.add({ table: "taskloom_inbox", event: "INSERT", when: "true", code: "40001" });
  expect(await journal.deliver(name, id, ['"x"'])).toEqual({ kind: "stored", unread: 1 });
  await refusals.add({ table: "job", event: "UPDATE", when: "true", code: "40P01" });
  expect(await journal.park(name, id, { token, epoch: 0, generation: 0, read: 1, until: NEVER })).toBe(
    "parked",
  );
  leave();
});

endTest("a delivery that fails leaves the end, without a delivery", async ({ engine, lane, children }) => {
  const { journal, name } = lane;
  const { id, end } = await lane.started();
  await using refusals = await Refusals.at(engine);
  await refusals.add({ table: "taskloom_inbox", event: "INSERT", when: "true", code: "40P01" });
  expect(await children.end(endFor(lane, id, 1))).toMatchObject({ state: "completed", isDelivered: false });
  expect(await journal.head(name, id)).toBeUndefined();
  expect(await children.end(endFor(lane, id, 2))).toMatchObject({ isDelivered: true });
  expect(await journal.head(name, id)).toMatchObject({ unread: 1 });
  end();
});

endTest(
  "turns that deliver to the same runs in any order do not wait for each other",
  async ({ lane, children }) => {
    const runs = await Promise.all(Array.from({ length: 10 }, () => lane.started()));
    const other = new ChildLane(lane);
    await other.start();
    const ends = (from: number): EndDelivery[] => runs.map(({ id }, n) => endFor(lane, id, from + n));
    for (let round = 0; round < 10; round++) {
      await Promise.all([children.add(ends(round * 20)), other.add(ends(round * 20 + 10).toReversed())]);
      const all = Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? children : other).ended.get());
      for (const stored of all) expect(await stored).toMatchObject({ isDelivered: true });
    }
    expect([...children.refused, ...other.refused]).toEqual([]);
    expect(await lane.journal.head(lane.name, runs[3]!.id)).toMatchObject({ unread: 20 });
    await other.close();
    for (const { end } of runs) end();
  },
);

test("nothing of a journal stays when its job is removed", async ({ pool, lane }) => {
  const { journal, name, engine } = lane;
  const rows = async (): Promise<number> => {
    const counted = ["run", "log", "inbox"].map(
      (table) => `SELECT 1 FROM taskloom_${table} WHERE queue = $1`,
    );
    return (await pool.query(counted.join(" UNION ALL "), [name])).rowCount ?? 0;
  };
  const ids = ["workflow.expired", "workflow.kept", "workflow.removed"];
  for (const id of ids) {
    const { token, end, leave } = await lane.started(id);
    await journal.append(name, [append(id, 0, ['"1"'])]);
    await journal.deliver(name, id, ['"x"']);
    if (id === "workflow.removed") {
      await journal.park(name, id, { token, epoch: 0, generation: 0, read: 1, until: NEVER });
      leave();
      continue;
    }
    end();
    await expect.poll(() => lane.state(id)).toBe("completed");
    const until = Date.now() + (id === "workflow.expired" ? 0 : 90 * 86_400_000);
    engine.recordEnd(name, { id, wasCancelled: false, set: "completed", until, isByDefault: false });
  }
  expect(await rows()).toBe(9);
  await expect
    .poll(async () => {
      await engine.removeExpired(name);
      return await rows();
    })
    .toBe(6);
  await engine.removeExpired(name, engine.now() + 100 * 86_400_000);
  expect(await rows()).toBe(3);
  const queue = engine.openQueue(name);
  await queue.remove("workflow.removed");
  await queue.close();
  await journal.sweep(name);
  expect(await rows()).toBe(0);
});
