/**
 * `pnpm conformance --spelling async --seed S --count N` runs N confluent programs in every spelling. A
 * program is confluent if none of a dozen shuffled schedules of the ready queue changes the values and errors
 * that its tasks receive on CPython's asyncio. Such a program must have the same outcome here in generators,
 * in `async` functions, wrapped and mixed, although V8 resumes `async` functions in an order of its own.
 *
 * A difference counts only if the program is still confluent under 300 more schedules.
 */
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

import type { GoldenOutcomes } from "./golden.ts";
import { outcomeDifference, outcomeOf } from "./outcome.ts";
import type { Outcome } from "./outcome.ts";
import type { Program } from "./program.ts";
import type { Reference } from "./reference.ts";
import { showProgram } from "./show-program.ts";
import { shrink } from "./shrink.ts";
import { interpretIn } from "./spellings.ts";
import type { Mode } from "./spellings.ts";
import { spreadProgram } from "./spread.ts";

export interface AsyncOptions {
  readonly seed: number;
  readonly from: number;
  readonly count: number;
  readonly modes: readonly Mode[];
  readonly keep: boolean;
  readonly golden: string | undefined;
}

const dozen = 12;
const certain = 300;

/** Runs the comparison, and returns the number of differences. */
export async function compareSpellings(reference: Reference, options: AsyncOptions): Promise<number> {
  const { seed, modes } = options;
  const started = performance.now();
  const golden: GoldenOutcomes["programs"][number][] = [];
  let version = "";
  let compared = 0;
  let made = 0;
  let unsure = 0;
  let differences = 0;
  for (let index = options.from; compared < options.count; index += 100) {
    const indices = Array.from({ length: 100 }, (_, i) => index + i);
    const programs = indices.map((each) => spreadProgram(seed, each));
    const answer = await reference.confluent(programs, dozen);
    version = answer.python;
    for (const [i, program] of programs.entries()) {
      if (compared === options.count) break;
      made++;
      const expected = answer.outcomes[i]!;
      if (expected === null) continue;
      compared++;
      let isSure = true;
      for (const mode of modes) {
        const difference = await differenceIn(mode, program, expected);
        if (difference === undefined) continue;
        const { outcomes } = await reference.confluent([program], certain);
        if (outcomes[0] === null) {
          unsure++;
          isSure = false;
          break;
        }
        differences++;
        process.stdout.write(`\nprogram ${indices[i]!} of seed ${seed}, ${mode}: ${difference}\n`);
        if (options.keep) continue;
        const small = await smallest(reference, mode, program);
        process.stdout.write(`shrunk to\n${showProgram(small.program)}\n${small.difference}\n`);
        return differences;
      }
      if (isSure) golden.push({ seed, index: indices[i]!, program, outcome: expected });
    }
  }
  if (options.golden !== undefined) {
    writeFileSync(
      options.golden,
      gzipSync(JSON.stringify({ python: version, programs: golden }), { level: 9 }),
    );
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(
    `seed ${seed}: ${compared} confluent programs of ${made} from ${options.from}, CPython ${version}, ` +
      `${modes.join(", ")}: ${differences} differences; ${unsure} programs differed and depend on the schedule (${seconds} s)\n`,
  );
  return differences;
}

export async function differenceIn(
  mode: Mode,
  program: Program,
  expected: Outcome,
): Promise<string | undefined> {
  return outcomeDifference(expected, outcomeOf(await interpretIn(mode, program)));
}

async function smallest(
  reference: Reference,
  mode: Mode,
  program: Program,
): Promise<{ program: Program; difference: string | undefined }> {
  const differ = async (candidates: readonly Program[]): Promise<(string | undefined)[]> => {
    const { traces } = await reference.run(candidates);
    const out: (string | undefined)[] = [];
    for (const [i, candidate] of candidates.entries()) {
      let found = await differenceIn(mode, candidate, outcomeOf(traces[i]!));
      // Most candidates show no difference; only the others are tested for confluence.
      if (found !== undefined && (await reference.confluent([candidate], 8 * dozen)).outcomes[0] === null) {
        found = undefined;
      }
      out.push(found);
    }
    return out;
  };
  const small = await shrink(program, async (candidates) =>
    (await differ(candidates)).map((each) => each !== undefined),
  );
  return { program: small, difference: (await differ([small]))[0] };
}
