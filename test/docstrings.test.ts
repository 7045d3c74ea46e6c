/**
 * Every ```ts example in the packages' sources is run, as a program of its own, and prints what it says it
 * prints: a comment at the end of a line that logs is the expected line. An example that needs what a test
 * machine may not have is fenced as ```ts no-run, with the reason behind it.
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

/** The doc comments of a file, without their stars. */
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
    test.for(examples)("$name", { timeout: 60_000 }, async ({ name, code }, { skip }) => {
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
