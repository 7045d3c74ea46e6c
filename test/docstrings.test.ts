/**
 * Every ```ts example in the packages' sources is run, as a program of its own, and prints what it says it
 * prints: a comment at the end of a line that logs is the expected line. An example that needs what a test
 * machine may not have is fenced as ```ts no-run, with the reason behind it.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(root, "test", ".examples-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Example {
  name: string;
  packageName: string;
  code: string;
}

function sources(packageName: string): string[] {
  const src = join(root, "packages", packageName, "src");
  return readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => join(src, file))
    .toSorted();
}

/** The doc comments of a file, without their stars. */
function docComments(file: string): { text: string; line: number; after: string }[] {
  const source = readFileSync(file, "utf8");
  return [...source.matchAll(/\/\*\*\n(?:.*\n)*?\s*\*\/\n(.*)/g)].map((match) => ({
    text: match[0].replace(/^\s*\* ?/gm, ""),
    line: source.slice(0, match.index).split("\n").length,
    after: match[1]!,
  }));
}

function examplesOf(packageName: string): Example[] {
  const examples: Example[] = [];
  for (const file of sources(packageName)) {
    for (const { text, line } of docComments(file)) {
      for (const match of text.matchAll(/^```ts\n([^]*?)^```/gm)) {
        const at = line + text.slice(0, match.index).split("\n").length;
        examples.push({ name: `${relative(root, file)}:${at}`, packageName, code: match[1]! });
      }
    }
  }
  return examples;
}

function runExample({ name, packageName, code }: Example): Promise<string> {
  // Beside the package's own files, so that what it imports is what the package can import.
  const file = join(folder, `${packageName}-${name.replaceAll(/[^a-z0-9]+/gi, "-")}.ts`);
  writeFileSync(file, code);
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      ["--conditions=@taskloom/source", "--no-warnings", "--experimental-strip-types", file],
      { timeout: 20_000, cwd: root },
      (error, stdout, stderr) => {
        if (error) reject(new Error(`${name} failed: ${error.message}\n${stderr}`, { cause: error }));
        else resolve(stdout);
      },
    );
  });
}

/** Without white space and commas: how a list is printed is beside the point. */
const bare = (text: string): string => text.replaceAll(/[\s,]/g, "");

const packageNames = readdirSync(join(root, "packages"))
  .toSorted()
  .filter((name) => examplesOf(name).length > 0);

describe.concurrent.each(packageNames)(
  "the examples in the sources of %s run and print what they say",
  (packageName) => {
    const examples = examplesOf(packageName);
    test.for(examples)("$name", { timeout: 60_000 }, async (example) => {
      const printed = bare(await runExample(example));
      for (const [, line] of example.code.matchAll(/console\.log\(.*\/\/ (.+)$/gm)) {
        expect(printed).toContain(bare(line!));
      }
    });
  },
);

test("every public name of the loop has a docstring with an example", () => {
  const documented = new Set<string>();
  for (const file of sources("loop")) {
    for (const { text, after } of docComments(file)) {
      const name = /^export (?:abstract )?(?:async )?(?:class|function\*?|const) (\w+)/.exec(after)?.[1];
      if (name !== undefined && text.includes("```ts")) documented.add(name);
    }
  }
  const entries = ["index.ts", "testing.ts"].map((entry) => join(root, "packages/loop/src", entry));
  const names = entries.flatMap((entry) =>
    [...readFileSync(entry, "utf8").matchAll(/^export \{([^}]*)\}/gm)].flatMap((match) =>
      match[1]!
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== ""),
    ),
  );
  expect(names.length).toBeGreaterThan(60);
  expect(names.filter((name) => !documented.has(name))).toEqual([]);
});
