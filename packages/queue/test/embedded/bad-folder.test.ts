import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { EmbeddedDatabaseError, EngineUrlError, openEngine } from "@taskloom/queue";
import { describe, expect, test } from "vitest";
import { startChild } from "./fixtures/child.ts";
import { newFolder } from "./fixtures/folder.ts";

const file = "taskloom.sqlite";

/** Opens a folder and closes it again; returns the error, or "opened". */
async function outcome(folder: string): Promise<unknown> {
  const engine = openEngine(`embedded:${folder}`);
  try {
    await engine.connect();
    return "opened";
  } catch (error) {
    return error;
  } finally {
    await engine.close();
  }
}

/** Opens a folder as a user that is not root, for whom permissions hold. */
async function outcomeAsNobody(folder: string): Promise<{ code: string; message?: string }> {
  const user = process.getuid?.() === 0 ? { uid: 65_534 } : {};
  chmodSync(dirname(folder), 0o755);
  return JSON.parse(await startChild("connect.ts", [`embedded:${folder}`], user).ended) as { code: string };
}

async function usedFolder(): Promise<string> {
  const folder = newFolder();
  const engine = openEngine(`embedded:${folder}`);
  await engine.connect();
  const queue = engine.openQueue("some.loop");
  await queue.addBulk(Array.from({ length: 200 }, (_, n) => ({ name: "job", data: { n } })));
  await queue.close();
  await engine.close();
  return folder;
}

test("a new folder is left out of version control, and what is stored is there at the next opening", async () => {
  const folder = await usedFolder();
  expect(readFileSync(join(folder, ".gitignore"), "utf8")).toBe("*\n");
  const engine = openEngine(`embedded:${folder}`);
  await engine.connect();
  const queue = engine.openQueue("some.loop");
  expect(await queue.getWaitingCount()).toBe(200);
  await queue.close();
  await engine.close();
});

describe("damaged data says so, and what to do, and is not touched", () => {
  const damages: [string, (path: string) => void][] = [
    ["garbage in place of a database", (path) => writeFileSync(path, "something else entirely ".repeat(500))],
    ["a database cut off in the middle", (path) => truncateSync(path, Math.floor(statSync(path).size / 2))],
    ["a database cut off in its header", (path) => truncateSync(path, 60)],
    [
      "garbage in all pages but the first",
      (path) => {
        const bytes = readFileSync(path);
        writeFileSync(path, bytes.fill(0x5a, 4_096));
      },
    ],
  ];
  test.each(damages)("%s", async (_what, damage) => {
    const folder = await usedFolder();
    damage(join(folder, file));
    const before = readFileSync(join(folder, file));
    const error = await outcome(folder);
    expect(error).toBeInstanceOf(EmbeddedDatabaseError);
    expect(error).toMatchObject({
      code: "EMBEDDED_DAMAGED",
      path: folder,
      message: expect.stringContaining("restore a backup, or move it away") as string,
    });
    expect(readFileSync(join(folder, file)).equals(before)).toBe(true);
    // The lock of the refused process is free again, and its files are gone.
    expect(readdirSync(folder).filter((name) => /\.(lock|sock)$/.test(name))).toEqual([]);
  });
});

test("a newer layout, and a folder of the engine before SQLite", async () => {
  const folder = await usedFolder();
  const database = new DatabaseSync(join(folder, file));
  database.exec("PRAGMA user_version = 99");
  database.close();
  expect(await outcome(folder)).toMatchObject({
    code: "EMBEDDED_VERSION",
    message: expect.stringContaining("newer version") as string,
  });
  const old = newFolder();
  mkdirSync(join(old, "pgdata"), { recursive: true });
  expect(await outcome(old)).toMatchObject({
    code: "EMBEDDED_VERSION",
    message: expect.stringMatching(/PGlite.*@taskloom\/worker 0\.1.*another folder/) as string,
  });
  expect(readdirSync(old)).toEqual(["pgdata"]);
});

test("a file, and a path below a file", async () => {
  const path = newFolder();
  writeFileSync(path, "not a folder");
  const refused = { code: "EMBEDDED_PATH", message: expect.stringContaining("use another folder") as string };
  expect(await outcome(path)).toMatchObject(refused);
  expect(await outcome(join(path, "below"))).toMatchObject(refused);
  expect(readFileSync(path, "utf8")).toBe("not a folder");
});

test("a folder that may not be read, and one that may not be written", async () => {
  const folder = await usedFolder();
  chmodSync(folder, 0o000);
  expect(await outcomeAsNobody(folder)).toMatchObject({ code: "EMBEDDED_PATH" });
  chmodSync(folder, 0o555);
  expect(await outcomeAsNobody(folder)).toMatchObject({
    code: "EMBEDDED_PATH",
    message: expect.stringMatching(/check/) as string,
  });
  chmodSync(folder, 0o755);
  expect(await outcome(folder)).toBe("opened");
}, 60_000);

test("?sync=normal is a parameter; anything else is refused", async () => {
  const folder = newFolder();
  const engine = openEngine(`embedded:${folder}?sync=normal`);
  expect(engine.url).toBe(`embedded:${folder}?sync=normal`);
  await engine.connect();
  await engine.close();
  expect(readdirSync(folder)).toContain(file);
  for (const wrong of ["?sync=off", "?sync=normal&x=1", "?cache=1"]) {
    expect(() => openEngine(`embedded:${folder}${wrong}`)).toThrow(EngineUrlError);
    expect(() => openEngine(`embedded:${folder}${wrong}`)).toThrow(/\?sync=normal/);
  }
});

test("what cannot be opened now can be opened once it is mended", async () => {
  const path = newFolder();
  writeFileSync(path, "in the way");
  const engine = openEngine(`embedded:${path}`);
  await expect(engine.connect()).rejects.toMatchObject({ code: "EMBEDDED_PATH" });
  rmSync(path);
  await engine.connect();
  await engine.close();
});
