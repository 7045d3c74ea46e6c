import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const execute = promisify(execFile);
const example = (name: string, ...flags: string[]): Promise<{ stdout: string; stderr: string }> =>
  execute(process.execPath, ["--conditions=@taskloom/source", ...flags, join("examples", name)], {
    cwd: root,
  });

// Node 22 has no import.meta.main, by which an example recognises that it is the program.
const canRunAsCommand = Number.parseInt(process.versions.node, 10) >= 24;
const skipNote = "examples are commands from Node 24 on (import.meta.main)";

test("an example is one command", async ({ skip }) => {
  skip(!canRunAsCommand, skipNote);
  const { stdout } = await example("two-coroutines-interleave.ts");
  expect(stdout).toBe("Suspending a\nIn b\nResuming a\n");
});

test("the warning for a coroutine that was never awaited", async ({ skip }) => {
  skip(!canRunAsCommand, skipNote);
  const { stdout, stderr } = await example("never-awaited.ts", "--expose-gc");
  expect(stdout).toBe("42\n");
  expect(stderr).toContain("RuntimeWarning: coroutine 'nested' was never awaited");
  expect(stderr).toContain("never-awaited.ts");
});

test("the README's table names every example, and only examples that exist", () => {
  const folder = join(root, "examples");
  const files = readdirSync(folder).filter((name) => name.endsWith(".ts"));
  const readme = readFileSync(join(folder, "README.md"), "utf8");
  const named = new Set([...readme.matchAll(/\(\.?\/?([\w-]+\.ts)\)/g)].map((match) => match[1]));
  expect(named).toEqual(new Set(files));
});

test("every example is run by a test here", () => {
  const here = readdirSync(import.meta.dirname, { encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const tests = here.map((name) => readFileSync(join(import.meta.dirname, name), "utf8")).join("\n");
  const examples = readdirSync(join(root, "examples")).filter((name) => name.endsWith(".ts"));
  expect(examples.filter((name) => !tests.includes(name))).toEqual([]);
});
