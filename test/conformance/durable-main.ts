/**
 * `pnpm conformance --durable --seed S --count N` runs N random programs as durable runs, and lets the worker die at each
 * tick. The run must have the trace of the plain loop, line by line, with and without a crash.
 *
 * With `--spelling async`, the programs are spread, their functions are `async`, and the outcomes are compared task by
 * task: V8 resumes `async` functions, so the iterations of the two loops differ. A crash must still change no line.
 */
import { runDurably, firstDifference } from "./durable.ts";
import { generate } from "./generate.ts";
import { outcomeDifference, outcomeOf } from "./outcome.ts";
import type { Program } from "./program.ts";
import { shrink } from "./shrink.ts";
import { showProgram } from "./show-program.ts";
import { interpretIn, spellingsOf } from "./spellings.ts";
import type { Mode } from "./spellings.ts";
import { spreadProgram } from "./spread.ts";

export interface DurableOptions {
  readonly seed: number;
  readonly from: number;
  readonly count: number;
  readonly modes: readonly Mode[];
  readonly isSpread: boolean;
  readonly keep: boolean;
}

interface Counts {
  ticks: number;
  crashes: number;
}

/** Runs the comparison, and returns the number of differences. */
export async function compareDurably(options: DurableOptions): Promise<number> {
  const { seed, from, count, modes } = options;
  const started = performance.now();
  const counts: Counts = { ticks: 0, crashes: 0 };
  let differences = 0;
  for (let index = from; index < from + count; index++) {
    const program = options.isSpread ? spreadProgram(seed, index) : generate(seed, index);
    for (const mode of modes) {
      // oxlint-disable-next-line no-await-in-loop -- one program after the other
      const found = await differenceOf(mode, program, counts);
      if (found === undefined) continue;
      differences++;
      process.stdout.write(`\nprogram ${index} of seed ${seed}, ${mode}: ${found}\n`);
      if (options.keep) continue;
      // oxlint-disable-next-line no-await-in-loop
      const small = await smallest(mode, program);
      // oxlint-disable-next-line no-await-in-loop
      process.stdout.write(`shrunk to\n${showProgram(small)}\n${await differenceOf(mode, small, counts)}\n`);
      return differences;
    }
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(
    `seed ${seed}: ${count} programs from ${from} as durable runs (${modes.join(", ")}), ${counts.ticks} ticks, ` +
      `${counts.crashes} crashes: ${differences} differences (${seconds} s)\n`,
  );
  return differences;
}

async function differenceOf(mode: Mode, program: Program, counts: Counts): Promise<string | undefined> {
  const plain = await interpretIn(mode, program);
  const { trace, ticks, crashes, difference } = await runDurably(program, spellingsOf(program, mode), 1);
  counts.ticks += ticks;
  counts.crashes += crashes;
  if (difference !== undefined) return difference;
  return mode === "generator"
    ? firstDifference(plain, trace)
    : outcomeDifference(outcomeOf(plain), outcomeOf(trace));
}

async function smallest(mode: Mode, program: Program): Promise<Program> {
  return await shrink(program, async (candidates) => {
    const out: boolean[] = [];
    for (const candidate of candidates) {
      // oxlint-disable-next-line no-await-in-loop -- one candidate after the other
      out.push((await differenceOf(mode, candidate, { ticks: 0, crashes: 0 })) !== undefined);
    }
    return out;
  });
}
