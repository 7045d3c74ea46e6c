// Runs the golden programs without a test runner, and ends at the first difference. The mutants use it, and
// so does the test of the spellings, whose text only Node itself can load. It runs generators by default, and
// with `async` every other spelling, and with `durable` some of these as durable runs.
import { runDurably } from "./durable.ts";
import { outcomeDifference, outcomeOf } from "./outcome.ts";
import { difference, readConfluent, readGolden } from "./golden.ts";
import { interpretIn, modes, spellingsOf } from "./spellings.ts";

const checks: Readonly<Record<string, () => Promise<string | undefined>>> = {
  generators: inGenerators,
  async: inSpellings,
  durable: inDurableRuns,
};
process.stdout.write(`${(await checks[process.argv[2] ?? "generators"]!()) ?? "no difference"}\n`);

async function inGenerators(): Promise<string | undefined> {
  for (const golden of readGolden().programs) {
    const found = await difference(golden);
    if (found !== undefined) return failed(found);
  }
  return undefined;
}

async function inSpellings(): Promise<string | undefined> {
  for (const { seed, index, program, outcome } of readConfluent().programs) {
    for (const mode of modes.slice(1)) {
      const found = outcomeDifference(outcome, outcomeOf(await interpretIn(mode, program)));
      if (found === undefined) continue;
      const again = `pnpm conformance --spelling async --mode ${mode} --seed ${seed} --from ${index} --count 1`;
      return failed(`program ${index} of seed ${seed}, ${mode} (${again})\n${found}`);
    }
  }
  return undefined;
}

/** Twenty programs in three modes, with four crashes each. */
async function inDurableRuns(): Promise<string | undefined> {
  for (const { seed, index, program, outcome } of readConfluent().programs.slice(0, 20)) {
    for (const mode of modes.slice(1)) {
      const { trace, difference: crash } = await runDurably(program, spellingsOf(program, mode), index, 4);
      const found = outcomeDifference(outcome, outcomeOf(trace)) ?? crash;
      if (found === undefined) continue;
      const again = `pnpm conformance --durable --spelling async --mode ${mode} --seed ${seed} --from ${index} --count 1`;
      return failed(`program ${index} of seed ${seed}, ${mode} (${again})\n${found}`);
    }
  }
  return undefined;
}

function failed(found: string): string {
  process.exitCode = 1;
  return found;
}
