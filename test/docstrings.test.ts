/**
 * Every ```ts example in the packages' sources runs as a program of its own and prints the expected lines: a
 * comment at the end of a line that logs is an expected line. An example that needs more than a test machine
 * has is fenced as ```ts no-run, with the reason.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { canRun, ExampleRunner, examplesIn, NEEDS_USING } from "./support/examples.ts";

const root = join(import.meta.dirname, "..");
const runner = new ExampleRunner();
afterAll(() => runner[Symbol.dispose]());

interface SourceExample {
  name: string;
  code: string;
}

function sources(packageName: string): string[] {
  const src = join(root, "packages", packageName, "src");
  return readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => join(src, file))
    .toSorted();
}

/** Returns the doc comments of a file without their asterisks. */
function docComments(file: string): { text: string; line: number; after: string }[] {
  const source = readFileSync(file, "utf8");
  return [...source.matchAll(/\/\*\*\n(?:.*\n)*?\s*\*\/\n(.*)/g)].map((match) => ({
    text: match[0].replace(/^\s*\* ?/gm, ""),
    line: source.slice(0, match.index).split("\n").length,
    after: match[1]!,
  }));
}

function examplesOf(packageName: string): SourceExample[] {
  return sources(packageName).flatMap((file) =>
    docComments(file).flatMap(({ text, line }) =>
      examplesIn(text).map((example) => ({
        name: `${relative(root, file)}:${line + example.line}`,
        code: example.code,
      })),
    ),
  );
}

const packageNames = readdirSync(join(root, "packages"))
  .toSorted()
  .filter((name) => examplesOf(name).length > 0);

describe.concurrent.each(packageNames)(
  "the examples in the sources of %s run and print what they say",
  (packageName) => {
    const examples = examplesOf(packageName);
    test.for(examples)("$name", { timeout: 90_000 }, async ({ name, code }, { skip }) => {
      skip(!canRun(code), NEEDS_USING);
      expect(await runner.missing(name, code)).toEqual([]);
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

test("every public member of the loop's classes and interfaces has a docstring", () => {
  const index = readFileSync(join(root, "packages/loop/src/index.ts"), "utf8");
  const names = new Set(
    [...index.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap((match) =>
      match[1]!.split(",").map((name) => name.trim()),
    ),
  );
  const bare: string[] = [];
  let seen = 0;
  for (const file of sources("loop")) {
    let owner: string | undefined;
    const lines = readFileSync(file, "utf8").split("\n");
    for (const [i, line] of lines.entries()) {
      const opens = /^export (?:abstract )?(?:class|interface) (\w+)/.exec(line)?.[1];
      // The loop's base classes are its layers: their members are the loop's.
      if (
        opens !== undefined &&
        (names.has(opens) || /^(?:LoopIo|Scheduler|FutureCore|BaseProtocol)$/.test(opens))
      ) {
        owner = opens;
      }
      if (line === "}") owner = undefined;
      const member = /^ {2}(?:(?:static|readonly|get|async|\*) ?)*([a-z]\w*)\??[(<:]/.exec(line)?.[1];
      if (owner === undefined || member === undefined || member === "constructor") continue;
      const above = lines[i - 1]!.trim();
      // The last of several signatures belongs to the implementation, which callers do not see. A line for
      // the linter may stand between.
      if (above.includes(`${member}(`) && above.endsWith(";")) continue;
      seen++;
      const doc = above.startsWith("// oxlint") ? lines[i - 2]!.trim() : above;
      if (!doc.endsWith("*/")) bare.push(`${relative(root, file)}:${i + 1} ${owner}.${member}`);
    }
  }
  expect(seen).toBeGreaterThan(250);
  expect(bare).toEqual([]);
});
