/**
 * `pnpm mutants:bullmq` tests the differential test. It changes lines of the driver's scripts and functions one at a time,
 * and random sequences must notice each of them.
 *
 *   --engine E      redis or postgres (redis)
 *   --count N       the number of mutants, chosen by seed (40 on Redis, 20 on PostgreSQL)
 *   --seed S        the seed of the choice and of the sequences (1)
 *   --sequences N   the greatest number of sequences for one mutant (300 on Redis, 60 on PostgreSQL)
 *   --only TEXT     only mutants whose source, line or text this regular expression matches
 *   --list          prints the mutants and runs nothing
 */
import { parseArgs } from "node:util";
import { Random } from "../../random.ts";
import type { Comparison } from "../compare.ts";
import { reasonFor } from "./equivalent.ts";
import type { Judge } from "./judge.ts";
import { PostgresJudge } from "./postgres-judge.ts";
import { RedisJudge } from "./redis-judge.ts";
import type { TextMutant } from "./text-mutant.ts";

const { values: options } = parseArgs({
  options: {
    engine: { type: "string", default: "redis" },
    count: { type: "string" },
    seed: { type: "string", default: "1" },
    sequences: { type: "string" },
    only: { type: "string", default: "" },
    list: { type: "boolean", default: false },
  },
});
const isRedis = options.engine === "redis";
const count = Number(options.count ?? (isRedis ? 40 : 20));
const sequences = Number(options.sequences ?? (isRedis ? 300 : 60));
const seed = Number(options.seed);
const comparisons: Comparison[] = Array.from({ length: sequences }, (_, index) => ({
  seed,
  index,
  // A snapshot after each operation finds more, and costs more.
  isStepwise: index % 4 === 0,
}));

const started = performance.now();
const judge: Judge = isRedis ? await RedisJudge.start() : await PostgresJudge.start();
try {
  await judgeAll(await choose(judge.mutants()));
} finally {
  await judge.close();
}

/** Chooses mutants by a random order, without those that the engine refuses. */
async function choose(from: readonly TextMutant[]): Promise<TextMutant[]> {
  const random = new Random(seed);
  const only = new RegExp(options.only);
  const order = from
    .filter(({ source, line, before, after }) => only.test(`${source}:${line} ${before} ${after}`))
    .map((mutant) => ({ mutant, at: random.below(2 ** 30) }))
    .toSorted((left, right) => left.at - right.at);
  const chosen: TextMutant[] = [];
  for (const { mutant } of order) {
    if (chosen.length === count) break;
    if (await judge.isValid(mutant)) chosen.push(mutant);
  }
  process.stdout.write(`${chosen.length} of ${from.length} mutants\n`);
  return chosen;
}

async function judgeAll(mutants: readonly TextMutant[]): Promise<void> {
  const survivors: TextMutant[] = [];
  let equivalents = 0;
  for (const [index, mutant] of mutants.entries()) {
    if (options.list) {
      process.stdout.write(`${show(mutant)}\n`);
      continue;
    }
    const reason = reasonFor(mutant);
    const verdict = reason === undefined ? await judge.verdict(mutant, comparisons) : undefined;
    if (verdict === undefined) equivalents++;
    else if (verdict.kind === "survived") survivors.push(mutant);
    const text =
      verdict === undefined
        ? `equivalent: ${reason}`
        : verdict.kind === "survived"
          ? "SURVIVED"
          : verdict.kind === "endless"
            ? `endless in sequence ${verdict.after}`
            : `caught by sequence ${verdict.after} at ${verdict.at}`;
    process.stdout.write(`${index + 1}/${mutants.length}  ${text}\n${show(mutant)}\n`);
  }
  if (options.list) return;
  const different = mutants.length - equivalents;
  const share = (100 * (different - survivors.length)) / different;
  const seconds = ((performance.now() - started) / 1_000).toFixed(0);
  process.stdout.write(
    `\nsurvivors:\n${survivors.map(show).join("\n")}\n\n${options.engine}: ${mutants.length} mutants, ${different - survivors.length} caught, ${survivors.length} survived, ${equivalents} equivalent: ${share.toFixed(1)} % caught (${seconds} s)\n`,
  );
  process.exitCode = share >= 95 ? 0 : 1;
}

function show({ source, line, kind, before, after }: TextMutant): string {
  return `  ${source}:${line} (${kind})\n    - ${before.trim()}\n    + ${after.trim()}`;
}
