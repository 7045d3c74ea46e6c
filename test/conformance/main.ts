/**
 * `pnpm conformance --seed S --count N` runs N random programs on CPython's asyncio and on `@taskloom/loop`,
 * and compares the traces line by line.
 *
 *   --seed S         the seed (1)
 *   --count N        the number of programs (10,000)
 *   --from I         the index of the first program (0)
 *   --statistics     also counts the steps and hand-offs that the programs reached
 *   --golden FILE    writes programs and Python's traces instead of comparing
 *   --spelling async compares confluent programs in every spelling, task by task (async-main.ts)
 *   --durable        runs the programs as durable runs, with a crash at each tick (durable-main.ts); needs no Python
 *   --mode M         with --spelling async: only generator, async, wrapped or mixed
 *   --keep           reports every difference instead of shrinking the first and stopping
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";

import { compareSpellings } from "./async-main.ts";
import { generate } from "./generate.ts";
import { interpret } from "./interpret.ts";
import type { Program } from "./program.ts";
import { compareDurably } from "./durable-main.ts";
import { findPython, Reference } from "./reference.ts";
import { showProgram } from "./show-program.ts";
import { shrink } from "./shrink.ts";
import { modes } from "./spellings.ts";
import type { Mode } from "./spellings.ts";

const { values: options } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    count: { type: "string", default: "10000" },
    from: { type: "string", default: "0" },
    statistics: { type: "boolean", default: false },
    spelling: { type: "string", default: "generator" },
    mode: { type: "string" },
    durable: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    golden: { type: "string" },
  },
});
const seed = Number(options.seed);
const from = Number(options.from);
const count = Number(options.count);

if (!["generator", "async"].includes(options.spelling) || !["", ...modes].includes(options.mode ?? "")) {
  process.stderr.write(`conformance: --spelling is generator or async, --mode one of ${modes.join(", ")}.\n`);
  process.exit(2);
}
const isAsync = options.spelling === "async";
const chosen = options.mode === undefined ? modes : [options.mode as Mode];
if (options.durable) {
  const durable = { seed, from, count, keep: options.keep, isSpread: isAsync };
  const differences = await compareDurably({ ...durable, modes: isAsync ? chosen : ["generator"] });
  process.exit(differences > 0 ? 1 : 0);
}
const python = findPython();
if (!python) {
  process.stderr.write("conformance: no Python 3.13 found; install it or set TASKLOOM_PYTHON to its path.\n");
  process.exit(2);
}
await using reference = new Reference(python);
if (isAsync) {
  const differences = await compareSpellings(reference, {
    seed,
    from,
    count,
    modes: chosen,
    keep: options.keep,
    golden: options.golden,
  });
  process.exit(differences > 0 ? 1 : 0);
}

const batch = 250;
const statistics = new Map<string, number>();
const golden: { seed: number; index: number; program: Program; trace: string[] }[] = [];
const started = performance.now();
let lines = 0;
let differences = 0;
let version = "";

for (let at = from; at < from + count; at += batch) {
  const indices = Array.from({ length: Math.min(batch, from + count - at) }, (_, i) => at + i);
  const programs = indices.map((index) => generate(seed, index));
  const answer = await reference.run(programs, options.statistics || options.golden !== undefined);
  version = answer.python;
  for (const [what, times] of Object.entries(answer.statistics ?? {})) {
    statistics.set(what, (statistics.get(what) ?? 0) + times);
  }
  for (const [i, program] of programs.entries()) {
    const expected = answer.traces[i]!;
    lines += expected.length;
    if (options.golden) {
      golden.push({ seed, index: indices[i]!, program, trace: expected });
      continue;
    }
    const actual = await run(program);
    if (same(expected, actual)) continue;
    differences += 1;
    report(indices[i]!, program, expected, actual);
    if (options.keep) continue;
    const small = await shrink(program, async (candidates) => {
      const { traces } = await reference.run(candidates);
      const out: boolean[] = [];
      for (const [j, candidate] of candidates.entries()) out.push(!same(traces[j]!, await run(candidate)));
      return out;
    });
    const { traces } = await reference.run([small]);
    process.stdout.write("\nshrunk to\n");
    report(indices[i]!, small, traces[0]!, await run(small));
    process.exitCode = 1;
    break;
  }
  if (process.exitCode === 1) break;
}

if (options.golden) {
  const text = JSON.stringify({
    python: version,
    statistics: Object.fromEntries(statistics),
    programs: golden,
  });
  mkdirSync(dirname(options.golden), { recursive: true });
  writeFileSync(options.golden, gzipSync(text, { level: 9 }));
  process.stdout.write(
    `${golden.length} programs, ${lines} trace lines, Python ${version}: ${options.golden}\n`,
  );
} else {
  if (options.statistics) {
    const sorted = [...statistics].toSorted(([a], [b]) => (a < b ? -1 : 1));
    for (const [what, times] of sorted) process.stdout.write(`${String(times).padStart(8)}  ${what}\n`);
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(
    `seed ${seed}: ${count} programs from ${from}, ${lines} trace lines, CPython ${version}: ${differences} differences (${seconds} s)\n`,
  );
  if (differences > 0) process.exitCode = 1;
}

async function run(program: Program): Promise<string[]> {
  try {
    return await interpret(program);
  } catch (error) {
    return [`the interpreter failed: ${error instanceof Error ? error.stack : String(error)}`];
  }
}

function same(expected: readonly string[], actual: readonly string[]): boolean {
  return expected.length === actual.length && expected.every((line, i) => line === actual[i]);
}

function report(
  index: number,
  program: Program,
  expected: readonly string[],
  actual: readonly string[],
): void {
  const first = expected.findIndex((line, i) => line !== actual[i]);
  const at = first < 0 ? expected.length : first;
  process.stdout.write(
    `\nprogram ${index} of seed ${seed} differs at line ${at + 1}\n${showProgram(program)}\n`,
  );
  for (let i = Math.max(0, at - 12); i < at; i++) process.stdout.write(`    ${expected[i]}\n`);
  for (const line of expected.slice(at, at + 4)) process.stdout.write(`  - ${line}\n`);
  for (const line of actual.slice(at, at + 4)) process.stdout.write(`  + ${line}\n`);
}
