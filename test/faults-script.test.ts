import { globSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * A variable selects the full form. A file reads it itself, or through the module that the fault tests share.
 */
const fullForm = /process\.env\["TASKLOOM_FAULTS"\]|import \{[^}]*\bfull\b[^}]*\} from "[^"]*fault-test\.ts"/;

test("pnpm faults runs every test file that has a full form", async () => {
  const { scripts } = JSON.parse(await readFile(`${root}/package.json`, "utf8")) as {
    scripts: { faults: string };
  };
  const filters = scripts.faults.split(" ").filter((word) => word.includes("/"));
  const files = globSync("{test,packages/*/test,apps/*/test}/**/*.test.ts", { cwd: root });
  const withFullForm: string[] = [];
  for (const file of files)
    if (fullForm.test(await readFile(`${root}/${file}`, "utf8"))) withFullForm.push(file);
  expect(withFullForm).toContain("packages/queue/test/postgres/no-deadlock.test.ts");
  expect(withFullForm.filter((file) => !filters.some((filter) => file.startsWith(filter)))).toEqual([]);
});
