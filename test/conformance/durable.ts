import { getRunningLoop } from "@taskloom/loop";
import { defineWorkflow } from "@taskloom/workflow";
import { DurableRun } from "@taskloom/workflow/running";
import type { RunHost, TickResult } from "@taskloom/workflow/running";

import { drive } from "./interpret.ts";
import type { Spellings } from "./interpret.ts";
import type { Program } from "./program.ts";
import { Random } from "./random.ts";
import { World } from "./world.ts";

/** A program has no steps, so its host has nothing to do. */
const idle: RunHost = { startStep() {}, submit() {}, cancel() {}, answer() {}, log() {}, warn() {} };

interface Life {
  readonly log: readonly string[];
  readonly trace: readonly string[];
}

/** A durable run of a program: its trace, and the first difference that a crash made. */
export interface DurableOutcome {
  readonly trace: readonly string[];
  readonly ticks: number;
  readonly crashes: number;
  readonly difference: string | undefined;
}

/**
 * Runs a program as a workflow, and lets its worker die at each tick: before the tick's entry is stored, and after it.
 * A life after a crash knows only the entries that were stored. It must make the rest of the log and the whole trace of
 * the life without a crash, iteration for iteration.
 *
 * @param maxCrashes the most crashes; a seeded choice of the ticks if there are more.
 */
export async function runDurably(
  program: Program,
  spellings: Spellings,
  seed: number,
  maxCrashes = Infinity,
): Promise<DurableOutcome> {
  const calm = await liveFrom(program, spellings, []);
  const ticks = calm.log.length;
  // A crash after an entry was stored is one before the next is. Of no entries, the run begins anew.
  const stored = Array.from({ length: ticks + 1 }, (_, count) => count);
  const random = new Random(seed, ticks);
  while (stored.length > maxCrashes) stored.splice(random.below(stored.length), 1);
  for (const [index, count] of stored.entries()) {
    const found = differenceOf(calm, await liveAgain(program, spellings, calm.log.slice(0, count)));
    if (found === undefined) continue;
    const difference = `a crash with ${count} of ${ticks} entries stored: ${found}`;
    return { trace: calm.trace, ticks, crashes: index + 1, difference };
  }
  return { trace: calm.trace, ticks, crashes: stored.length, difference: undefined };
}

async function liveAgain(program: Program, spellings: Spellings, log: readonly string[]): Promise<Life> {
  try {
    return await liveFrom(program, spellings, log);
  } catch (error) {
    return { log, trace: [String(error)] };
  }
}

/** Lives from a log to the end, and stores each entry. */
async function liveFrom(program: Program, spellings: Spellings, stored: readonly string[]): Promise<Life> {
  let trace: readonly string[] = ["the program did not end"];
  const workflow = defineWorkflow({ name: "program" }, function* () {
    const world = new World(program, getRunningLoop(), spellings);
    yield* drive(world);
    // A run that ends cancels the tasks that are left, and fails if they never end. A plain loop leaves them.
    return (trace = [...world.trace]);
  });
  const run = new DurableRun({ workflow, args: [], id: "workflow.program", host: idle });
  const log = [...stored];
  try {
    let result: TickResult;
    if (stored.length === 0) {
      result = await run.tick(0, []);
    } else {
      await run.replay(stored);
      result = run.live(run.time);
    }
    for (;;) {
      if (result.entry !== null) {
        log.push(result.entry);
        run.release(run.length);
      }
      if (result.end !== undefined || result.wakeAt === undefined) return { log, trace };
      // oxlint-disable-next-line no-await-in-loop -- one tick after the other
      result = await run.tick(result.wakeAt, []);
    }
  } finally {
    run.dispose();
  }
}

function differenceOf(calm: Life, crashed: Life): string | undefined {
  return firstDifference(calm.trace, crashed.trace) ?? firstDifference(calm.log, crashed.log);
}

/** Returns the first line that differs, with the lines before it, or undefined. */
export function firstDifference(expected: readonly string[], actual: readonly string[]): string | undefined {
  for (let i = 0; i < Math.max(expected.length, actual.length); i++) {
    if (expected[i] === actual[i]) continue;
    const before = expected.slice(Math.max(0, i - 8), i).map((line) => `    ${line}`);
    const lines = [...before, `  - ${expected[i] ?? "(the end)"}`, `  + ${actual[i] ?? "(the end)"}`];
    return [`line ${i + 1}`, ...lines].join("\n");
  }
  return undefined;
}
