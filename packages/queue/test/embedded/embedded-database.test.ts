import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { describe, expect, onTestFinished, test } from "vitest";
import { EmbeddedDatabase } from "../../src/engines/embedded/embedded-database.ts";
import { EmbeddedDatabaseError, EmbeddedLockedError } from "../../src/engines/embedded/errors.ts";
import { readOwner } from "../../src/engines/embedded/owner.ts";
import { processStart } from "../../src/engines/embedded/process-start.ts";
import { startChild } from "./fixtures/child.ts";
import { newFolder } from "./fixtures/folder.ts";

async function opened(path: string): Promise<EmbeddedDatabase> {
  const database = await EmbeddedDatabase.open({ path });
  onTestFinished(() => database.close());
  return database;
}

const failure = (path: string): Promise<unknown> =>
  EmbeddedDatabase.open({ path }).then(
    async (database) => {
      await database.close();
      return "opened";
    },
    (error: unknown) => error,
  );

test("what was stored is there when the folder is opened again", async () => {
  const path = newFolder();
  const first = await opened(path);
  await first.createPool().query("INSERT INTO meta VALUES ('q', 'f', $1)", ["kept"]);
  await first.close();
  const second = await opened(path);
  const { rows } = await second.createPool().query("SELECT value FROM meta WHERE queue = 'q'");
  expect(rows).toEqual([{ value: "kept" }]);
  expect(readFileSync(join(path, ".gitignore"), "utf8")).toBe("*\n");
});

test("an image that cannot be used is made anew, and one that cannot be kept is done without", async () => {
  const cache = newFolder();
  const before = process.env["TASKLOOM_CACHE"];
  process.env["TASKLOOM_CACHE"] = cache;
  onTestFinished(() => {
    if (before === undefined) delete process.env["TASKLOOM_CACHE"];
    else process.env["TASKLOOM_CACHE"] = before;
  });
  await (await opened(newFolder())).close();
  const [image = ""] = readdirSync(cache);
  const whole = readFileSync(join(cache, image));
  writeFileSync(join(cache, image), whole.subarray(0, whole.length - 1000));
  const path = newFolder();
  await (await opened(path)).close();
  expect(existsSync(join(path, "pgdata.new"))).toBe(false);
  expect(readFileSync(join(cache, image)).length).toBeGreaterThan(whole.length - 1000);
  process.env["TASKLOOM_CACHE"] = join(cache, image, "below a file");
  const database = await opened(newFolder());
  expect((await database.createPool().query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
}, 60_000);

/** All but what PostgreSQL makes anew at each start. */
const dataFiles = (path: string): unknown[] =>
  readdirSync(path, { recursive: true })
    .map(String)
    .filter((file) => !/pg_internal\.init$|postmaster\.pid$/.test(file))
    .toSorted();

describe("one process a folder", () => {
  test("a second process is told who has the folder and where it answers", async () => {
    const path = newFolder();
    const child = startChild("hold-folder.ts", [path, "http://127.0.0.1:4711"]);
    onTestFinished(() => void child.process.kill("SIGKILL"));
    await child.line((line) => line === "open");
    expect(readOwner(path)).toEqual({ pid: child.process.pid, address: "http://127.0.0.1:4711" });
    const error = await failure(path);
    expect(error).toBeInstanceOf(EmbeddedLockedError);
    expect(error).toMatchObject({
      code: "EMBEDDED_LOCKED",
      pid: child.process.pid,
      address: "http://127.0.0.1:4711",
    });
    expect((error as Error).message).toContain(`process ${child.process.pid}`);
    // Being refused changed nothing for the owner.
    expect(readOwner(path)?.pid).toBe(child.process.pid);
    child.process.stdin?.write("end\n");
    await child.ended;
    expect(child.lines.at(-1)).toBe("closed");
    expect(child.errors()).toBe("");
    expect(readOwner(path)).toBeUndefined();
    await opened(path);
  });

  test("the same process cannot open it twice", async () => {
    const path = newFolder();
    const first = await opened(path);
    await first.setAddress("http://127.0.0.1:1");
    expect(await failure(path)).toMatchObject({
      code: "EMBEDDED_LOCKED",
      pid: process.pid,
      address: "http://127.0.0.1:1",
    });
    await first.close();
    await opened(path);
  });

  test("of ten that open it at once, one gets it", async () => {
    const path = newFolder();
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => opened(path)));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "EMBEDDED_LOCKED" });
    }
  });

  test("a killed process leaves the folder free, and its name is not believed", async () => {
    const path = newFolder();
    const child = startChild("hold-folder.ts", [path]);
    await child.line((line) => line === "open");
    child.process.kill("SIGKILL");
    await child.ended;
    expect(existsSync(join(path, "owner.json"))).toBe(true);
    expect(readOwner(path)).toBeUndefined();
    await opened(path);
    expect(readOwner(path)).toEqual({ pid: process.pid });
  });

  test("the owner keeps the folder when something in its process opens and closes the lock file", async () => {
    const path = newFolder();
    const child = startChild("read-lock-file.ts", [path]);
    onTestFinished(() => void child.process.kill("SIGKILL"));
    await child.line((line) => line === "open");
    expect(await failure(path)).toMatchObject({ code: "EMBEDDED_LOCKED", pid: child.process.pid });
    expect(readOwner(path)?.pid).toBe(child.process.pid); // Being refused changed nothing for the owner.
    expect(await failure(path)).toMatchObject({ code: "EMBEDDED_LOCKED" });
    child.process.kill("SIGKILL");
    await child.ended;
    await opened(path);
  });

  test("a process that has the number of a dead owner keeps nobody out", async () => {
    const path = newFolder();
    await (await opened(path)).close();
    writeFileSync(
      join(path, "owner.json"),
      JSON.stringify({ pid: process.ppid, started: "another boot/1", address: "http://127.0.0.1:1" }),
    );
    await opened(path);
    expect(readOwner(path)).toEqual({ pid: process.pid });
  });

  test("a dead process of which its parent has not taken note is no owner", async () => {
    // The inner shell ends when it reads the end of its input; its parent has become a sleep then, and never asks.
    const parent = spawn("sh", ["-c", "sh -c 'read line' <&3 & echo $!; exec sleep 600"], {
      stdio: ["ignore", "pipe", "ignore", "pipe"],
    });
    onTestFinished(() => void parent.kill("SIGKILL"));
    const [line] = (await once(parent.stdout as Readable, "data")) as [Buffer];
    const zombie = Number(line.toString());
    const program = (): string => execFileSync("ps", ["-o", "comm=", "-p", String(parent.pid)]).toString();
    await expect.poll(program).toMatch("sleep");
    expect(processStart(zombie)).toBeDefined();
    (parent.stdio[3] as Writable).end();
    await expect.poll(() => processStart(zombie)).toBeUndefined();
    expect(process.kill(zombie, 0)).toBe(true); // Its number is taken still.
    expect(processStart(process.pid)).toBe(processStart(process.pid));
  });
});

describe("a folder that cannot be used", () => {
  const damages: [string, (data: string) => void, RegExp][] = [
    ["no PG_VERSION", (data) => rmSync(join(data, "PG_VERSION")), /PG_VERSION is missing/],
    [
      "an empty data folder",
      (data) => {
        rmSync(data, { recursive: true });
        mkdirSync(data);
      },
      /PG_VERSION is missing/,
    ],
    ["a truncated control file", (data) => truncateSync(join(data, "global/pg_control"), 100), /pg_control/],
    [
      "a control file of garbage",
      (data) => writeFileSync(join(data, "global/pg_control"), Buffer.alloc(8192, 7)),
      /incompatible/,
    ],
    [
      "no write-ahead log",
      (data) => {
        rmSync(join(data, "pg_wal"), { recursive: true });
        mkdirSync(join(data, "pg_wal"));
      },
      /checkpoint record/,
    ],
    ["no transaction log", (data) => rmSync(join(data, "pg_xact"), { recursive: true }), /transaction/],
    [
      "truncated tables",
      (data) => {
        for (const file of readdirSync(join(data, "base/5")))
          if (/^\d+$/.test(file)) truncateSync(join(data, "base/5", file), 10);
      },
      /damaged/,
    ],
  ];
  test.each(damages)("%s: says so, and what to do, and removes nothing", async (_what, damage, reason) => {
    const path = newFolder();
    await (await opened(path)).close();
    damage(join(path, "pgdata"));
    const files = dataFiles(path);
    const error = await failure(path);
    expect(error).toBeInstanceOf(EmbeddedDatabaseError);
    expect(error).toMatchObject({ code: "EMBEDDED_DAMAGED", path });
    expect((error as Error).message).toMatch(reason);
    expect((error as Error).message).toContain(`mv ${path} ${path}.damaged`);
    expect(dataFiles(path)).toEqual(expect.arrayContaining(files));
  });

  test("the advice can be followed: the lock is free again", async () => {
    const path = newFolder();
    mkdirSync(join(path, "pgdata"), { recursive: true });
    expect(await failure(path)).toMatchObject({ code: "EMBEDDED_DAMAGED" });
    renameSync(path, `${path}.damaged`);
    expect(await failure(path)).toBe("opened");
  });

  test("data of another PostgreSQL, and of a newer schema", async () => {
    const path = newFolder();
    const database = await opened(path);
    await database.createPool().query("INSERT INTO migration VALUES (9999, 'from the future', 99)");
    await database.close();
    expect(await failure(path)).toMatchObject({ code: "EMBEDDED_VERSION" });
    writeFileSync(join(path, "pgdata/PG_VERSION"), "17\n");
    expect(await failure(path)).toMatchObject({ code: "EMBEDDED_VERSION" });
  });

  test("a file, or below a file", async () => {
    const path = newFolder();
    writeFileSync(path, "not a folder");
    expect(await failure(path)).toMatchObject({
      code: "EMBEDDED_PATH",
      message: expect.stringContaining("Name a folder"),
    });
    expect(await failure(join(path, "below"))).toMatchObject({ code: "EMBEDDED_PATH" });
    expect(readFileSync(path, "utf8")).toBe("not a folder");
  });

  test("a lock file that is none", async () => {
    const path = newFolder();
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, "lock.sqlite"), "something else entirely ".repeat(50));
    expect(await failure(path)).toMatchObject({
      code: "EMBEDDED_DAMAGED",
      message: expect.stringContaining("lock.sqlite"),
    });
    expect(readdirSync(dirname(path))).toEqual(["data"]);
  });
});

describe("an end", () => {
  test("close runs what was sent, then refuses; a second close is nothing", async () => {
    const path = newFolder();
    const database = await opened(path);
    const pool = database.createPool();
    const sent = Promise.all(
      [1, 2, 3].map((n) => pool.query("INSERT INTO meta VALUES ('q', $1)", [String(n)])),
    );
    await database.close();
    await sent;
    await expect(pool.query("SELECT 1")).rejects.toMatchObject({ code: "EMBEDDED_CLOSED" });
    await expect(pool.connect()).rejects.toMatchObject({ code: "EMBEDDED_CLOSED" });
    await database.close();
    const again = await opened(path);
    expect((await again.createPool().query("SELECT count(*)::int AS n FROM meta")).rows).toEqual([{ n: 3 }]);
  });

  test("close does not wait for a transaction that nobody can end any more", async () => {
    const database = await opened(newFolder());
    const pool = database.createPool();
    const client = await pool.connect();
    await client.query("BEGIN");
    await client.query("INSERT INTO meta VALUES ('q', 'half')");
    const waiting = pool.query("SELECT count(*)::int AS n FROM meta");
    await database.close();
    expect((await waiting).rows).toEqual([{ n: 0 }]);
  });

  test("when PostgreSQL dies, every call in flight is told, and the folder is free", async () => {
    const path = newFolder();
    const database = await opened(path);
    const pool = database.createPool();
    const poolErrors: unknown[] = [];
    pool.on("error", (error) => poolErrors.push(error));
    const crashes: unknown[] = [];
    database.onCrash((error) => crashes.push(error));
    await pool.query("INSERT INTO meta VALUES ('q', 'acknowledged')");
    await pool.query("CHECKPOINT");
    cpSync(join(path, "pgdata"), join(path, "copy"), { recursive: true });
    // The log can be written no more: PostgreSQL panics.
    rmSync(join(path, "pgdata/pg_wal"), { recursive: true });
    writeFileSync(join(path, "pgdata/pg_wal"), "");
    const calls = await Promise.allSettled([
      pool.query("SELECT pg_switch_wal()"),
      pool.query("INSERT INTO meta SELECT 'q', g::text FROM generate_series(1, 100) g"),
      pool.query("SELECT pg_switch_wal()"),
      pool.query("SELECT $1::int", [1]),
    ]);
    expect(calls.at(-1)).toMatchObject({ status: "rejected", reason: { code: "EMBEDDED_CRASHED" } });
    expect((calls.at(-1) as PromiseRejectedResult).reason.message).toMatch(/PANIC.*pg_wal/);
    await expect(pool.query("SELECT 1")).rejects.toMatchObject({ code: "EMBEDDED_CRASHED" });
    expect(crashes).toEqual(poolErrors);
    expect(crashes).toHaveLength(1);
    await database.close();
    rmSync(join(path, "pgdata"), { recursive: true });
    cpSync(join(path, "copy"), join(path, "pgdata"), { recursive: true });
    const again = await opened(path);
    expect((await again.createPool().query("SELECT field FROM meta")).rows).toEqual([
      { field: "acknowledged" },
    ]);
  });
});
