// Runs the golden programs without a test runner, and ends at the first difference. The mutants use it, and
// so does the test of the spellings, whose text only Node itself can load. It runs generators by default, and
// with `async` every other spelling.
import { outcomeDifference, outcomeOf } from "./outcome.ts";
import { difference, readConfluent, readGolden } from "./golden.ts";
import { interpretIn, modes } from "./spellings.ts";

process.stdout.write(
  `${(process.argv[2] === "async" ? await inSpellings() : await inGenerators()) ?? "no difference"}\n`,
);

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

function failed(found: string): string {
  process.exitCode = 1;
  return found;
}
