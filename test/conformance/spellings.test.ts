import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

import { readConfluent } from "./golden.ts";
import { outcomeDifference, outcomeOf } from "./outcome.ts";
import { spreadProgram } from "./spread.ts";

const execute = promisify(execFile);

// Node itself runs this, because only Node can load the interpreter's text as `async` functions.
test("confluent programs have CPython's outcome as async functions, wrapped and mixed", async () => {
  expect(readConfluent().programs.length).toBeGreaterThan(500);
  const script = fileURLToPath(new URL("check-golden.ts", import.meta.url));
  const run = await execute(process.execPath, ["--conditions=@taskloom/source", script, "async"]).catch(
    (error: unknown) => error as { stdout: string },
  );
  expect(run.stdout).toBe("no difference\n");
});

test("an outcome that was tampered with is noticed", () => {
  const { outcome } = readConfluent().programs[0]!;
  const first = outcome["T0"]![0]!;
  const tampered = { ...outcome, T0: outcome["T0"]!.with(0, `${first} `) };
  expect(outcomeDifference(outcome, tampered)).toContain("task T0, line 1");
  expect(outcomeDifference(outcome, outcome)).toBeUndefined();
});

test("an outcome is what each task saw: no iterations, no identities, no order among tasks", () => {
  expect(outcomeOf(["2 9 T3~1 14 !Cancelled(m4)#2", "2 9 - c0 called [T3]", "3 11 T3~0 15 =null"])).toEqual({
    T3: ["2 1 14 !Cancelled(m4)", "3 0 15 =null"],
    "-": ["2  c0 called [T3]"],
  });
  const one = ["0 1 T1~0 f0 begins", "0 1 T2~0 f0 begins"];
  expect(outcomeOf(one)).toEqual(outcomeOf(one.toReversed()));
});

test("the events of a spread program are apart", () => {
  const times = JSON.stringify(spreadProgram(1, 3))
    .match(/(?<="time":)[\d.]+/g)!
    .map(Number);
  const fractions = times.filter((time) => time > 0).map((time) => time % 0.5);
  expect(new Set(fractions).size).toBe(fractions.length);
  expect(spreadProgram(1, 3)).toEqual(spreadProgram(1, 3));
});
