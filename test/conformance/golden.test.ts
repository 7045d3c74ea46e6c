import { expect, test } from "vitest";

import { generate } from "./generate.ts";
import { difference, readGolden } from "./golden.ts";
import { shrink } from "./shrink.ts";

const golden = readGolden();

test(`1,000 random programs give the traces of CPython ${golden.python}`, async () => {
  expect(golden.programs).toHaveLength(1000);
  const differences: string[] = [];
  for (const program of golden.programs) {
    const found = await difference(program);
    if (found) differences.push(found);
    if (differences.length === 3) break;
  }
  expect(differences.join("\n\n")).toBe("");
});

test("a trace that was tampered with is noticed", async () => {
  const first = golden.programs[0]!;
  const trace = first.trace.with(3, `${first.trace[3]} `);
  expect(await difference({ ...first, trace })).toContain("line 4");
});

test("the generator is a function of seed and index", () => {
  expect(generate(5, 7)).toEqual(generate(5, 7));
  expect(generate(5, 7)).not.toEqual(generate(5, 8));
});

test("the shrinker keeps what matters and nothing else", async () => {
  const program = generate(1, 12);
  const wanted = operations(program)[0]!;
  const small = await shrink(program, async (all) => all.map((each) => operations(each).includes(wanted)));
  expect(operations(small)).toEqual([wanted]);
});

test("the programs reach the hand-offs", () => {
  const missing = handOffs.filter((each) => !((golden.statistics[each] ?? 0) > 0));
  expect(missing).toEqual([]);
});

/** The events that the statistics of `reference.py` must contain, as CPython itself reached them. */
const handOffs = [
  // Cancelled between the wake-up and the step, by the kind of wait.
  ...[
    "acquire",
    "await",
    "gather",
    "get",
    "group",
    "join",
    "put",
    "shield",
    "sleep",
    "wait",
    "waitBarrier",
  ].map((what) => `cancel after being woken: ${what}`),
  ...["waitCondition", "waitEvent", "waitFor", "waitPredicate", "with", "asCompleted"].map(
    (what) => `cancel after being woken: ${what}`,
  ),
  // Cancelled again before the first cancel was thrown.
  ...["acquire", "get", "sleep", "waitCondition", "waitBarrier"].map(
    (what) => `cancel after being cancelled: ${what}`,
  ),
  ...["asCompleted", "gather", "group", "join", "put", "shield", "wait", "waitFor"].map(
    (what) => `cancel while waiting: ${what}`,
  ),
  "cancel before start or after sleep(0)",
  "cancel of oneself",
  "cancel with a message",
  "cancel without a message",
  "gather of 2 with duplicates",
  "gather of 3 with duplicates",
  "reschedule",
  "reschedule !RuntimeError",
  "shutdown",
  "get !QueueShutDown",
  "put !QueueShutDown",
  "join later",
  "join !CancelledError",
  "resetBarrier at once",
  "abortBarrier at once",
  "waitBarrier !BrokenBarrierError",
  "group !ExceptionGroup",
  "group !CancelledError",
  "groupSpawn !RuntimeError",
  "timeout !TimeoutError",
  "timeout !CancelledError",
  "waitFor !TimeoutError",
  "asCompleted item !TimeoutError",
  "wait FIRST_COMPLETED timeout",
  "wait FIRST_EXCEPTION timeout",
  "wait ALL_COMPLETED timeout",
  "addDone late",
  "addDone in time",
  "removeDone True",
  // The library's own awaitables, without another call around them.
  ...["sleep", "acquire", "waitEvent", "waitCondition", "waitBarrier", "get", "put", "join"].map(
    (what) => `raw ${what}`,
  ),
  "setCancelled",
];

function operations(json: unknown): string[] {
  return JSON.stringify(json).match(/"op":"\w+"/g) ?? [];
}
