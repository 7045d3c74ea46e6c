import { once } from "node:events";
import { DatabaseError, types } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddedDatabase } from "../../src/engines/embedded/embedded-database.ts";
import type { EmbeddedPool } from "../../src/engines/embedded/pool.ts";
import { POSTGRES_MAJOR } from "../../src/engines/embedded/postgres-session.ts";

const parent = mkdtempSync(join(tmpdir(), "taskloom-pool-"));
let database: EmbeddedDatabase;
let pool: EmbeddedPool;

beforeAll(async () => {
  database = await EmbeddedDatabase.open({ path: join(parent, "data") });
  pool = database.createPool();
  await pool.query("CREATE TABLE entry (n int PRIMARY KEY, what text)");
});
afterAll(async () => {
  await database.close();
  rmSync(parent, { recursive: true, force: true });
});

describe("values", () => {
  test.each([
    ["int", "7::int", 7],
    ["bigint is text, as pg has it", "9007199254740993::bigint", "9007199254740993"],
    ["numeric is text", "1.10::numeric", "1.10"],
    ["double", "1.5::float8", 1.5],
    ["boolean", "true", true],
    ["text", "'grüße'", "grüße"],
    ["null", "NULL::text", null],
    ["jsonb", `'{"a":[1,null]}'::jsonb`, { a: [1, null] }],
    ["json", `'[1]'::json`, [1]],
    ["bytea", String.raw`'\x00ff10'::bytea`, Buffer.from([0, 255, 16])],
    ["timestamptz", "'2026-01-02T03:04:05.678Z'::timestamptz", new Date("2026-01-02T03:04:05.678Z")],
    ["timestamp is local time", "'2026-01-02 03:04:05'::timestamp", new Date(2026, 0, 2, 3, 4, 5)],
    ["text array", `ARRAY['a','b "c"',NULL]`, ["a", 'b "c"', null]],
    ["int array", "ARRAY[1,2]", [1, 2]],
  ])("%s comes as pg gives it", async (_kind, expression, expected) => {
    const plain = await pool.query<{ value: unknown }>(`SELECT ${expression} AS value`);
    expect(plain.rows).toEqual([{ value: expected }]);
    const prepared = await pool.query<{ value: unknown }>(`SELECT ${expression} AS value, $1::int AS n`, [1]);
    expect(prepared.rows).toEqual([{ value: expected, n: 1 }]);
    if (Buffer.isBuffer(expected)) expect(Buffer.isBuffer(plain.rows[0]?.value)).toBe(true);
  });

  test.each([
    ["null", null, "text", null],
    ["undefined", undefined, "text", null],
    ["number", 12.5, "float8", 12.5],
    ["boolean", false, "boolean", false],
    ["text with a quote and a zero-width character", "o'clock \u200B", "text", "o'clock \u200B"],
    ["object", { a: { b: [1, "x"] } }, "jsonb", { a: { b: [1, "x"] } }],
    ["array", ["a", null, 'b"\\'], "text[]", ["a", null, 'b"\\']],
    ["buffer", Buffer.from([0, 1, 255]), "bytea", Buffer.from([0, 1, 255])],
    ["date", new Date(1_700_000_000_123), "timestamptz", new Date(1_700_000_000_123)],
    ["bigint", 9_007_199_254_740_993n, "bigint", "9007199254740993"],
  ])("a parameter that is %s arrives", async (_kind, value, type, expected) => {
    const { rows } = await pool.query(`SELECT $1::${type} AS value`, [value]);
    expect(rows).toEqual([{ value: expected }]);
  });

  test("a value of a megabyte goes there and back", async () => {
    const large = "0123456789abcdef".repeat(65_536);
    const { rows } = await pool.query("SELECT $1::text AS value", [large]);
    expect(rows).toEqual([{ value: large }]);
  });

  test("a result has pg's command, count and fields", async () => {
    const inserted = await pool.query("INSERT INTO entry SELECT g, 'x' FROM generate_series(1000, 1002) g");
    expect(inserted).toMatchObject({ command: "INSERT", rowCount: 3, rows: [] });
    const selected = await pool.query("SELECT n FROM entry WHERE n >= $1", [1000]);
    expect(selected).toMatchObject({ command: "SELECT", rowCount: 3 });
    expect(selected.fields).toMatchObject([{ name: "n", dataTypeID: types.builtins.INT4 }]);
    expect(await pool.query("CREATE TEMP TABLE t ()")).toMatchObject({ command: "CREATE", rowCount: null });
    expect(await pool.query({ text: "SELECT 1, 2", rowMode: "array" })).toMatchObject({ rows: [[1, 2]] });
    const several = (await pool.query("SELECT 1 AS a; SELECT 2 AS b")) as unknown;
    expect(several).toMatchObject([{ rows: [{ a: 1 }] }, { rows: [{ b: 2 }] }]);
  });

  test("the version of PostgreSQL is the one that data folders are checked against", async () => {
    const { rows } = await pool.query("SHOW server_version_num");
    expect(String(rows[0]?.["server_version_num"]).slice(0, -4)).toBe(POSTGRES_MAJOR);
  });
});

describe("errors", () => {
  test("are pg's, with code, detail and constraint, and the session goes on", async () => {
    await pool.query("INSERT INTO entry VALUES ($1, 'twice')", [1]);
    const error = await pool.query("INSERT INTO entry VALUES ($1, 'twice')", [1]).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(DatabaseError);
    expect(error).toMatchObject({
      code: "23505",
      constraint: "entry_pkey",
      table: "entry",
      detail: "Key (n)=(1) already exists.",
      severity: "ERROR",
    });
    await expect(pool.query("SELEC 1")).rejects.toMatchObject({ code: "42601", position: "1" });
    await expect(pool.query("SELECT $1::int", ["x"])).rejects.toMatchObject({ code: "22P02" });
    expect((await pool.query("SELECT $1::int AS n", ["5"])).rows).toEqual([{ n: 5 }]);
  });

  test("a prepared statement survives a change of what it reads", async () => {
    await pool.query("CREATE TABLE changing (a int); INSERT INTO changing VALUES (1)");
    const read = (): Promise<unknown> =>
      pool.query("SELECT * FROM changing WHERE a = $1", [1]).then((r) => r.rows);
    expect(await read()).toEqual([{ a: 1 }]);
    await pool.query("ALTER TABLE changing ADD COLUMN b text DEFAULT 'new'");
    expect(await read()).toEqual([{ a: 1, b: "new" }]);
    await pool.query("DEALLOCATE ALL");
    expect(await read()).toEqual([{ a: 1, b: "new" }]);
  });

  test("more statements than can stay prepared", async () => {
    const texts = Array.from({ length: 900 }, (_, n) => `SELECT $1::int + ${n} AS "sum${n}"`);
    for (const round of [1, 2]) {
      const results = await Promise.all(texts.map((text) => pool.query(text, [round])));
      expect(results.map(({ rows }) => rows)).toEqual(texts.map((_, n) => [{ [`sum${n}`]: n + round }]));
    }
    const { rows } = await pool.query("SELECT count(*)::int AS n FROM pg_prepared_statements");
    expect(rows[0]?.["n"]).toBeLessThanOrEqual(400);
  });
});

/** In a transaction: how many there were before this one. */
async function add(n: number): Promise<number> {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    const { rows } = await client.query<{ n: number }>(
      "SELECT count(*)::int AS n FROM entry WHERE what = 'tx'",
    );
    await client.query("INSERT INTO entry VALUES ($1, 'tx')", [n]);
    await client.query("COMMIT");
    return rows[0]?.n ?? -1;
  } finally {
    client.release();
  }
}

describe("clients", () => {
  test("a transaction is its client's alone: others wait for its end", async () => {
    const client = await pool.connect();
    const order: string[] = [];
    const begun = client.query("BEGIN");
    const outside = pool
      .query("SELECT count(*)::int AS n FROM entry WHERE n IN (50, 51)")
      .then(({ rows }) => {
        order.push("outside");
        return rows;
      });
    await begun;
    await client.query("INSERT INTO entry VALUES ($1, 'inside')", [50]);
    await client.query("INSERT INTO entry VALUES ($1, 'inside')", [51]);
    order.push("commit");
    await client.query("COMMIT");
    expect(await outside).toEqual([{ n: 2 }]);
    expect(order).toEqual(["commit", "outside"]);
    client.release();
  });

  test("two transactions at once run one after the other, in the order they began", async () => {
    expect(await Promise.all([add(60), add(61), add(62)])).toEqual([0, 1, 2]);
  });

  test("a failed transaction refuses statements until it ends, and is rolled back by release", async () => {
    const client = await pool.connect();
    await client.query("BEGIN");
    await client.query("INSERT INTO entry VALUES (70, 'lost')");
    await expect(client.query("SELECT 1/0")).rejects.toMatchObject({ code: "22012" });
    await expect(client.query("SELECT 1")).rejects.toMatchObject({ code: "25P02" });
    client.release();
    expect((await pool.query("SELECT 1 FROM entry WHERE n = 70")).rows).toEqual([]);
    await expect(client.query("SELECT 1")).rejects.toThrow("released");
  });

  test("what a client sent before its release is done before it", async () => {
    const client = await pool.connect();
    const sent = [
      client.query("BEGIN"),
      client.query("INSERT INTO entry VALUES (71, 'kept')"),
      client.query("COMMIT"),
    ];
    client.release();
    await Promise.all(sent);
    expect((await pool.query("SELECT what FROM entry WHERE n = 71")).rows).toEqual([{ what: "kept" }]);
  });

  test("a transaction on the pool itself is refused and leaves nothing open", async () => {
    await expect(pool.query("BEGIN")).rejects.toThrow("pool.connect()");
    await expect(pool.query("LISTEN somewhere")).rejects.toThrow("pool.connect()");
    expect((await pool.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  });

  test("an ended pool refuses in pg-pool's words; the others go on", async () => {
    const other = database.createPool();
    const client = await other.connect();
    await other.end();
    await expect(other.query("SELECT 1")).rejects.toThrow("after calling end on the pool");
    await expect(other.connect()).rejects.toThrow("after calling end on the pool");
    await expect(client.query("SELECT 1")).rejects.toThrow("released");
    expect((await pool.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  });
});

describe("notifications", () => {
  test("reach every client that listens, once, in order, and only them", async () => {
    const [one, two, deaf] = await Promise.all([pool.connect(), pool.connect(), pool.connect()]);
    const heard: string[] = [];
    const listen = (name: string, client: typeof one): unknown =>
      client.on("notification", ({ channel, payload }: { channel: string; payload: string }) =>
        heard.push(`${name} ${channel} ${payload}`),
      );
    listen("one", one);
    listen("two", two);
    listen("deaf", deaf);
    await one.query("-- a comment first\nLISTEN Jobs;\n");
    await one.query('LISTEN "Mixed ""Case"');
    await two.query("LISTEN jobs");
    await deaf.query("LISTEN jobs");
    await deaf.query("UNLISTEN *");
    await pool.query("SELECT pg_notify('jobs', $1)", ["a"]);
    await pool.query(`SELECT pg_notify('Mixed "Case', 'b')`);
    await two.query("UNLISTEN jobs");
    await pool.query("SELECT pg_notify('jobs', 'c')");
    expect(heard).toEqual(["one jobs a", "two jobs a", 'one Mixed "Case b', "one jobs c"]);
    for (const client of [one, two, deaf]) client.release();
    await pool.query("SELECT pg_notify('jobs', 'd')");
    expect(heard).toHaveLength(4);
    expect((await pool.query("SELECT * FROM pg_listening_channels()")).rows).toEqual([]);
  });

  test("come after the answers before them were taken up, so that who looks and then listens misses none", async () => {
    const client = await pool.connect();
    await client.query("LISTEN later");
    const look = async (): Promise<unknown> => {
      const { rows } = await pool.query("SELECT 1 AS one");
      expect(rows).toEqual([{ one: 1 }]);
      // As many turns of microtasks as a few async functions take.
      for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
      return once(client, "notification", { signal: AbortSignal.timeout(5000) });
    };
    const [heard] = await Promise.all([look(), pool.query("SELECT pg_notify('later', 'now')")]);
    expect(heard).toMatchObject([{ payload: "now" }]);
    client.release();
  });

  test("are sent when the transaction is committed, and not when it is rolled back", async () => {
    const listener = await pool.connect();
    const sender = await pool.connect();
    await listener.query("LISTEN t");
    const heard = once(listener, "notification");
    for (const [payload, end] of [
      ["lost", "ROLLBACK"],
      ["kept", "COMMIT"],
    ]) {
      await sender.query("BEGIN");
      await sender.query("SELECT pg_notify('t', $1)", [payload]);
      await sender.query(String(end));
    }
    expect(await heard).toMatchObject([{ channel: "t", payload: "kept" }]);
    listener.release();
    sender.release();
  });
});
