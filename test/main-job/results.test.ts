import { execFile, spawnSync } from "node:child_process";
import { chmod, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";
import { folderTest, prose, writeFiles } from "../support/files.ts";
import { TaskloomProcess, taskloom } from "../support/taskloom-process.ts";

const execute = promisify(execFile);

interface Line {
  readonly path: string;
  readonly bytes: number;
  readonly lines: number;
  readonly words: number;
  readonly sha256: string;
  readonly compressed: number;
}

async function resultsIn(file: string): Promise<Map<string, Line>> {
  const lines = (await readFile(file, "utf8")).trim().split("\n");
  return new Map(lines.map((line) => JSON.parse(line) as Line).map((line) => [line.path, line]));
}

folderTest("its own data is not among the files, wherever that is", async ({ folder }) => {
  await writeFiles(folder, { "a.txt": "a", "b/c.txt": "c" });
  const engine = `embedded:${join(folder, "b", "jobs")}`;
  const ended = await taskloom("demo", folder, "--once", "--engine", engine, "--port", "0", "--threads", "1");
  expect(ended.code).toBe(0);
  expect(ended.stdout).toMatch(/│ total\s+│\s+2 │/);
});

folderTest("what it finds is what find, wc and sha256sum find", async ({ folder }) => {
  const root = join(folder, "root");
  await writeFiles(root, {
    "empty.txt": "",
    "no-newline": "one two\tthree",
    "deep/er/spaces and ünïcode.md": "naïve café — «déjà vu»\u00a0\u3000次 の 言葉\n\n\v x\f y\r\n",
    "binary.bin": Uint8Array.from({ length: 5_000 }, (_, index) => (index * 7919) % 256),
    "control.txt": "a\u0001b \u0002 c\u007f\n",
    ...Object.fromEntries(
      Array.from({ length: 45 }, (_, index) => [`prose/${index}.txt`, prose(index, index * 331)]),
    ),
  });
  const out = join(folder, "out.ndjson");
  const args = [
    "demo",
    root,
    "--once",
    "--engine",
    `embedded:${join(folder, "data")}`,
    "--port",
    "0",
    "--threads",
    "2",
    "--out",
    out,
  ];
  const ended = await taskloom(...args);
  expect(ended.stderr).not.toContain("could not be read");
  expect(ended.code).toBe(0);
  expect(ended.stdout).toMatch(/│ total\s+│\s+50 │/);
  expect(ended.stdout).toMatch(/loop lane: 50 jobs, [\d,]+ jobs\/s\nthread lane: 50 jobs, [\d,]+ jobs\/s\n/);
  expect(ended.stdout).toMatch(
    / {2}same work in place \(the \d+ largest files\): longest [\d.]+ ms, p99 [\d.]+ ms\n/,
  );

  const results = await resultsIn(out);
  const found = (await execute("find", [root, "-type", "f", "-printf", "%P\n"])).stdout.trim().split("\n");
  expect([...results.keys()].toSorted()).toEqual(found.toSorted());
  for (const [path, line] of results) {
    const counted = await execute("wc", ["-l", "-w", "-c", join(root, path)], {
      env: { ...process.env, LC_ALL: "C.UTF-8" },
    });
    const [lines, words, bytes] = counted.stdout.trim().split(/\s+/).map(Number);
    const hashed = await execute("sha256sum", ["-z", join(root, path)]);
    expect(line, path).toMatchObject({ lines, words, bytes, sha256: hashed.stdout.slice(0, 64) });
  }
});

folderTest("a file that cannot be read is named, and stops nothing else", async ({ folder, skip }) => {
  // Root may read every file, so the command runs as nobody there.
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, env: { HOME: folder } } : {};
  if (spawnSync(process.execPath, ["--version"], nobody).error !== undefined)
    skip("root may read every file, and nobody else may enter the folder of this checkout");
  const root = join(folder, "root");
  await writeFiles(root, { "a.txt": "a\n", "secret.txt": "s\n", "closed/b.txt": "b\n", "c.txt": "c\n" });
  await chmod(join(root, "secret.txt"), 0);
  await chmod(join(root, "closed"), 0);
  await chmod(folder, 0o777);
  const args = [
    "demo",
    root,
    "--once",
    "--engine",
    `embedded:${join(folder, "data")}`,
    "--port",
    "0",
    "--threads",
    "1",
  ];
  const ended = await new TaskloomProcess(args, { cwd: folder, ...nobody }).ended;
  await chmod(join(root, "closed"), 0o755);
  expect(ended.stdout).toMatch(/│ total\s+│\s+2 │/);
  expect(ended.stderr).toMatch(
    /2 files could not be read; .*\n {2}closed: this user has no permission to read the file\n {2}secret\.txt: this user has no permission to read the file\n/,
  );
  expect(ended.code).toBe(3);
});
