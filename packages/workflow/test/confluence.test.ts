import { expect, test } from "vitest";
import { exploreCrashes } from "@taskloom/workflow/testing";
import type { Sending } from "@taskloom/workflow/testing";
import { asked, chooser, knocked, programOf, workflowOf } from "./programs.ts";

/**
 * Each program has a life for each stored state, at most eight of them by a seeded choice, and one life that crashes at a
 * third of its appends.
 */
const CRASHES = 8;

async function explore(spelling: "generator" | "async", from: number, count: number) {
  const totals = { lives: 0, crashes: 0, completed: 0, cancelled: 0, answers: 0 };
  for (let seed = from; seed < from + count; seed++) {
    const choose = chooser(seed + 7);
    const send: Sending[] = Array.from({ length: choose(5) }, (_, i) => ({
      at: choose(200),
      signal: knocked,
      payload: i,
    }));
    for (let i = choose(3); i > 0; i--) {
      send.push({ at: choose(250), update: asked, args: [2000 + choose(100)], id: `asked ${i}` });
    }
    if (choose(5) === 0) send.push({ at: 50 + choose(200), cancel: "stop" });
    // oxlint-disable-next-line no-await-in-loop -- one program after the other
    const explored = await exploreCrashes(workflowOf(programOf(seed), spelling), {
      seeds: [seed],
      maxCrashes: CRASHES,
      send: send.toSorted((a, b) => a.at - b.at),
      onLived: ({ end, world }) => {
        totals.answers += world.answers.size;
        if (end.state === "completed" || end.state === "cancelled") totals[end.state]++;
      },
    });
    totals.lives += explored.lives;
    totals.crashes += explored.crashes;
  }
  return totals;
}

test("1,000 random programs of generators end alike, whatever append their worker dies at", async () => {
  const { lives, crashes, completed, cancelled, answers } = await explore("generator", 1000, 1000);
  expect(lives).toBeGreaterThan(8000);
  expect(crashes).toBeGreaterThan(8000);
  expect(completed + cancelled).toBe(1000);
  expect(cancelled).toBeGreaterThan(100);
  expect(answers).toBeGreaterThan(500);
});

test("200 random programs of async functions end alike, whatever append their worker dies at", async () => {
  const { lives, crashes, completed, cancelled } = await explore("async", 1000, 200);
  expect(lives).toBeGreaterThan(1600);
  expect(crashes).toBeGreaterThan(1600);
  expect(completed + cancelled).toBe(200);
});
