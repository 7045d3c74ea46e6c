import { createServer } from "node:net";
import type { Server } from "node:net";
import type { AddressInfo } from "node:net";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { folderTest as test, writeFiles } from "../support/files.ts";
import { freePort } from "../support/private-redis.ts";
import { TaskloomProcess, taskloom } from "../support/taskloom-process.ts";
import type { Ended } from "../support/taskloom-process.ts";

/** Matches one line on standard error that describes the problem, and an exit code other than 0. */
function expectOneLine(ended: Ended, pattern: RegExp, code = 1): void {
  expect(ended.stderr).toMatch(/^taskloom: [^\n]+\n$/);
  expect(ended.stderr).toMatch(pattern);
  expect(ended.stdout).toBe("");
  expect(ended.code).toBe(code);
}

function demo(folder: string, ...args: string[]): Promise<Ended> {
  return taskloom(
    "demo",
    "--once",
    "--port",
    "0",
    "--threads",
    "1",
    "--engine",
    `embedded:${join(folder, "data")}`,
    ...args,
  );
}

test("a directory that is missing, or none", async ({ folder }) => {
  await writeFiles(folder, { "file.txt": "x" });
  expectOneLine(await demo(folder, join(folder, "missing")), /missing does not exist; name a directory/);
  expectOneLine(await demo(folder, join(folder, "file.txt")), /file\.txt is not a directory/);
});

test("an engine that there is none of", async ({ folder }) => {
  expectOneLine(
    await taskloom("demo", folder, "--engine", "rabbit://me:secret@x"),
    /"rabbit:\/\/me:\*\*\*@x" is not an engine; use "redis:/,
    2,
  );
  expectOneLine(await taskloom("demo", folder, "--engine", "redis://"), /not a Redis address/, 2);
  expectOneLine(await taskloom("demo", folder, "--engine", "embedded:x?sync=never"), /unknown parameter/, 2);
});

test("a flag that there is none of, or with a value that cannot be", async ({ folder }) => {
  expectOneLine(await demo(folder, "--twice"), /Unknown option '--twice'.*; see --help$/m, 2);
  expectOneLine(await demo(folder, "--workers", "none"), /--workers.*Expected a whole number from 1/, 2);
});

test("Redis that is down", async ({ folder }) => {
  const url = `redis://127.0.0.1:${await freePort()}`;
  const ended = await taskloom("demo", folder, "--once", "--port", "0", "--engine", url);
  expectOneLine(
    ended,
    /Redis at redis:\/\/127\.0\.0\.1:\d+ cannot be used .*; start it or correct the address\n/,
  );
});

test("a port in use", async ({ folder }) => {
  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  expectOneLine(
    await demo(folder, folder, "--port", String(port)),
    /Port \d+ on 127\.0\.0\.1 is in use; .*--port/,
  );
  await new Promise((resolve) => server.close(resolve));
});

test("embedded data that is damaged is left as it is", async ({ folder }) => {
  await writeFiles(folder, { "root/a.txt": "a" });
  expect((await demo(folder, join(folder, "root"))).code).toBe(0);
  const file = join(folder, "data", "taskloom.sqlite");
  await writeFile(file, "not a database");
  expectOneLine(await demo(folder, join(folder, "root")), /no SQLite database: restore a backup/);
  expect(await readFile(file, "utf8")).toBe("not a database");
});

test("a second run on the same embedded data ends beside the first", async ({ folder }) => {
  await writeFiles(folder, { "root/a.txt": "a" });
  const data = `embedded:${join(folder, "data")}`;
  const first = new TaskloomProcess([
    "demo",
    join(folder, "root"),
    "--engine",
    data,
    "--port",
    "0",
    "--threads",
    "1",
  ]);
  const [, address] = await first.printed(/stays up at (http:\/\/\S+) until Ctrl-C/);
  expect(await demo(folder, join(folder, "root"))).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/total +│ +1 │/) as string,
  });
  expect((await fetch(`${address}/healthz`)).status).toBe(200);
  const ended = await first.kill("SIGINT");
  expect(ended.code).toBe(0);
});
