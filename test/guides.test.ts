/**
 * Each ```ts block of the guides and READMEs runs as a program of its own and prints the lines that its comments
 * expect. A block that begins with a file name, as in `// tasks.ts`, can be imported by the other blocks of its page.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { canRun, ExampleRunner, examplesIn, filesIn, NEEDS_USING, NODE_FLAGS } from "./support/examples.ts";

const root = join(import.meta.dirname, "..");
const runner = new ExampleRunner();
afterAll(() => runner[Symbol.dispose]());

const read = (page: string): string => readFileSync(join(root, page), "utf8");

const docs = ["docs", "docs/recipes"].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `${folder}/${name}`),
);
const readmes = ["packages", "apps"].flatMap((folder) =>
  readdirSync(join(root, folder)).map((name) => `${folder}/${name}/README.md`),
);
const pages = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "CHANGELOG.md",
  "examples/README.md",
  ...readmes,
  ...docs,
];
const pagesWithExamples = pages.filter((page) => examplesIn(read(page)).length > 0);

test.each(readmes)("%s has the installation, and a program that runs", (page) => {
  expect(read(page)).toContain("npm install @taskloom/");
  expect(pagesWithExamples).toContain(page);
});

describe.concurrent.each(pagesWithExamples)("%s", (page) => {
  const examples = examplesIn(read(page));
  const files = filesIn(read(page));
  test.for(examples)("line $line", { timeout: 90_000 }, async ({ code, line }, { skip }) => {
    skip(!canRun(code), NEEDS_USING);
    expect(await runner.missing(`${page} ${line}`, code, files)).toEqual([]);
  });
});

test("the two processes in the README of the queue work together", { timeout: 90_000 }, async () => {
  const folder = runner.folderOf("two processes", filesIn(read("packages/queue/README.md")));
  const start = (file: string): ChildProcess =>
    spawn(process.execPath, [...NODE_FLAGS, file], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
  const worker = start("worker.ts");
  const client = start("client.ts");
  let printed = "";
  client.stdout?.on("data", (data: Buffer) => (printed += data.toString()));
  expect(await once(client, "exit")).toEqual([0, null]);
  expect(printed).toContain(createHash("sha256").update("a").digest("hex"));
  worker.kill("SIGINT");
  expect(await once(worker, "exit")).toEqual([130, null]);
});

/** Returns the anchor that GitHub makes of a heading. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");
}

test.each(pages)("every link of %s leads to a file, and to a heading in it", (page) => {
  const broken: string[] = [];
  for (const [, link = ""] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
    // A README of a package names the files of the repository by their addresses, since a registry shows it, too.
    const target = link.replace(/^https:\/\/github\.com\/taskloom\/taskloom\/(?:blob|tree)\/main\//, "/");
    if (/^\w+:/.test(target)) continue;
    const [path = "", heading] = target.split("#");
    const folder = path.startsWith("/") ? root : join(root, dirname(page));
    const file = path === "" ? join(root, page) : join(folder, path);
    if (!existsSync(file)) broken.push(target);
    else if (heading !== undefined && file.endsWith(".md")) {
      const headings = [...readFileSync(file, "utf8").matchAll(/^#+ (.+)$/gm)];
      if (!headings.some(([, text = ""]) => anchor(text) === heading)) broken.push(target);
    }
  }
  expect(broken).toEqual([]);
});
