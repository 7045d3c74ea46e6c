/** Every ```ts block of these guides runs, as a program of its own, and prints what it says it prints. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { canRun, ExampleRunner, examplesIn, NEEDS_USING } from "./support/examples.ts";

const docs = join(import.meta.dirname, "../docs");
const runner = new ExampleRunner();
afterAll(() => runner[Symbol.dispose]());

describe.concurrent.each(["asyncio-for-node.md", "io.md", "loop.md"])("docs/%s", (guide) => {
  const examples = examplesIn(readFileSync(join(docs, guide), "utf8"));
  test.for(examples)("line $line", { timeout: 90_000 }, async ({ code, line }, { skip }) => {
    skip(!canRun(code), NEEDS_USING);
    expect(await runner.missing(`${guide} ${line}`, code)).toEqual([]);
  });
});

/** As GitHub makes an anchor of a heading. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");
}

test.each(readdirSync(docs).filter((name) => name.endsWith(".md")))(
  "every link of docs/%s leads to a file, and to a heading in it",
  (guide) => {
    const broken: string[] = [];
    for (const [, target = ""] of readFileSync(join(docs, guide), "utf8").matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^\w+:/.test(target)) continue;
      const [path = "", heading] = target.split("#");
      const file = join(docs, path === "" ? guide : path);
      if (!existsSync(file)) broken.push(target);
      else if (heading !== undefined && file.endsWith(".md")) {
        const headings = [...readFileSync(file, "utf8").matchAll(/^#+ (.+)$/gm)];
        if (!headings.some(([, text = ""]) => anchor(text) === heading)) broken.push(target);
      }
    }
    expect(broken).toEqual([]);
  },
);
