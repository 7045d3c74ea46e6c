import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

import { firstDifference, runDurably } from "./durable.ts";
import { readGolden } from "./golden.ts";
import { Steps } from "./steps.ts";

const execute = promisify(execFile);
/** Each eighth program; `pnpm conformance --durable` runs any number of them. */
const programs = readGolden().programs.filter(({ index }) => index % 8 === 0);

test("golden programs give CPython's traces as durable runs, with a crash at each tick", async () => {
  const differences: string[] = [];
  const totals = { ticks: 0, crashes: 0 };
  for (const { seed, index, program, trace } of programs) {
    const spellings = [...program.functions, program.main].map(() => Steps);
    // oxlint-disable-next-line no-await-in-loop -- one program after the other
    const durable = await runDurably(program, spellings, index);
    totals.ticks += durable.ticks;
    totals.crashes += durable.crashes;
    const found = firstDifference(trace, durable.trace) ?? durable.difference;
    if (found === undefined) continue;
    const again = `pnpm conformance --durable --seed ${seed} --from ${index} --count 1`;
    differences.push(`program ${index} of seed ${seed} (${again}), ${found}`);
  }
  expect(differences.join("\n\n")).toBe("");
  expect(programs).toHaveLength(125);
  expect(totals.ticks).toBeGreaterThan(500);
  // One crash before each tick's entry is stored, and one after the last.
  expect(totals.crashes).toBe(totals.ticks + programs.length);
});

test("a program whose time is not the run's own is noticed", async () => {
  let lives = 0;
  const { program } = programs.find(({ trace }) => trace.length > 20)!;
  class Impure extends Steps {
    override main(): ReturnType<Steps["main"]> {
      this.world.log("M", "main", `life ${++lives}`);
      return super.main();
    }
  }
  const spellings = [...program.functions, program.main].map(() => Impure);
  const { difference } = await runDurably(program, spellings, 0);
  expect(difference).toContain("life 1");
  expect(difference).toContain("a crash with 0 of");
});

// Node itself runs this, because only Node can load the interpreter's text as `async` functions.
test("confluent programs have CPython's outcome as durable runs of async functions", async () => {
  const script = fileURLToPath(new URL("check-golden.ts", import.meta.url));
  const arguments_ = ["--conditions=@taskloom/source", script, "durable"];
  const run = await execute(process.execPath, arguments_).catch(
    (error: unknown) => error as { stdout: string },
  );
  expect(run.stdout).toBe("no difference\n");
});
