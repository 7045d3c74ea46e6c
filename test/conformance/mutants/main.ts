/**
 * `pnpm mutants` tests the tests. It changes lines of the kernel one at a time in a scratch copy, and the
 * golden traces and the named tests must notice.
 *
 *   --count N     the number of mutants, chosen evenly by seed (300)
 *   --seed S      the seed (1)
 *   --all         all mutants
 *   --only TEXT   only lines whose `path:line` this regular expression matches
 *   --jobs N      the number of mutants at a time (2)
 *   --list        prints the mutants and runs nothing
 */
import { spawn } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { Random } from "../random.ts";
import { equivalents } from "./equivalent.ts";
import { asyncSpelling, mutate } from "./mutate.ts";
import type { Mutant } from "./mutate.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const { values: options } = parseArgs({
  options: {
    count: { type: "string", default: "300" },
    seed: { type: "string", default: "1" },
    all: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    jobs: { type: "string", default: "2" },
    list: { type: "boolean", default: false },
  },
});

/**
 * The folders with CPython's semantics. Other tests cover diagnosis, signals and external work, which CPython
 * does not have.
 */
const kernel = ["kernel", "task", "waiting", "sync", "event-loop"];
const leftOut =
  /context|describe|dropped|exceptions|executor|external-task|loop-io|runner|signal|stack|states|async-generator/;

const mutants = choose(
  kernel
    .flatMap((folder) => sources(join(root, "packages/loop/src", folder)))
    .filter((file) => !leftOut.test(relative(root, file)))
    .flatMap((file) => mutate(relative(root, file), readFileSync(file, "utf8")))
    .filter(({ file, line }) => new RegExp(options.only).test(`${file}:${line}`)),
);

/** The longest time of a run without a mutant; before it is known, a minute counts. */
let slowest: number | undefined;
const took: number[] = [];
/** The factor by which a mutant may take longer, so that a busy machine does not count as an endless loop. */
const patience = 4;

type Verdict = "golden traces" | "named tests" | "did not end" | "survived" | "equivalent";
const verdicts = new Map<Mutant, Verdict>();
if (options.list) list();
else await judgeAll();

function list(): void {
  for (const each of mutants) process.stdout.write(`${show(each)}\n`);
  process.stdout.write(`${mutants.length} mutants\n`);
}

function count(verdict: Verdict): number {
  return [...verdicts.values()].filter((each) => each === verdict).length;
}

async function judgeAll(): Promise<void> {
  const queue = mutants.values();
  await Promise.all(Array.from({ length: Number(options.jobs) }, () => work(queue)));
  const survivors = mutants.filter((each) => verdicts.get(each) === "survived");
  const different = mutants.length - count("equivalent");
  const share = (100 * (different - survivors.length)) / different;
  process.stdout.write("\nsurvivors:\n");
  for (const each of survivors) process.stdout.write(`${show(each)}\n`);
  process.stdout.write(
    `\n${mutants.length} mutants: ${count("golden traces")} caught by golden traces, ${count("named tests")} by named tests, ` +
      `${count("did not end")} did not end, ${survivors.length} survived, ${count("equivalent")} equivalent: ` +
      `${share.toFixed(1)} % caught\n`,
  );
  process.exitCode = share >= 95 ? 0 : 1;
}

async function work(from: Iterator<Mutant>): Promise<void> {
  const scratch = makeScratch();
  try {
    const untouched = await check(scratch);
    slowest = Math.max(...took);
    if (untouched !== "survived")
      throw new Error(`Without any mutant: ${untouched} fail. Repair them first.`);
    for (let next = from.next(); !next.done; next = from.next()) {
      const mutant = next.value;
      const known = equivalents.some((group) =>
        group.mutants.some(
          ([file, before, after]) =>
            mutant.file.endsWith(`src/${file}`) && mutant.before === before && mutant.after === after,
        ),
      );
      const verdict = known ? "equivalent" : await judge(scratch, mutant);
      verdicts.set(mutant, verdict);
      process.stdout.write(
        `${String(verdicts.size).padStart(4)}/${mutants.length}  ${verdict.padEnd(13)}  ${show(mutant)}\n`,
      );
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function judge(scratch: string, mutant: Mutant): Promise<Verdict> {
  const path = join(scratch, mutant.file);
  const original = readFileSync(path, "utf8");
  const lines = original.split("\n");
  const indent = /^\s*/.exec(lines[mutant.line - 1]!)![0];
  writeFileSync(path, lines.with(mutant.line - 1, indent + mutant.after).join("\n"));
  try {
    return await check(scratch, mutant.file);
  } finally {
    writeFileSync(path, original);
  }
}

async function check(scratch: string, file = ""): Promise<Verdict> {
  // The spelling that is more likely to notice runs first.
  const spellings = asyncSpelling.test(file) ? ["async", "generator"] : ["generator", "async"];
  for (const spelling of spellings) {
    const golden = await run(scratch, process.execPath, [
      "--conditions=@taskloom/source",
      "--no-warnings",
      "test/conformance/check-golden.ts",
      spelling,
    ]);
    if (golden !== "passed") return golden === "failed" ? "golden traces" : "did not end";
  }
  const named = await run(scratch, process.execPath, [
    join(scratch, "node_modules/vitest/vitest.mjs"),
    "run",
    "packages/loop/test",
    // These tests are slow and cover other topics: native promises, processes and sockets.
    "--exclude=**/promises-aplus.test.ts",
    "--exclude=**/run.test.ts",
    "--exclude=**/io/**",
    "--bail=1",
    "--reporter=dot",
    "--no-file-parallelism",
    "--no-isolate",
    // A thread does not accept the Node flags of the configuration.
    "--pool=forks",
    "--testTimeout=6000",
  ]);
  if (named === "passed") return "survived";
  return named === "failed" ? "named tests" : "did not end";
}

async function run(cwd: string, command: string, args: string[]): Promise<"passed" | "failed" | "timeout"> {
  // The child has a process group of its own, so an endless mutant is killed with its workers.
  const child = spawn(command, args, { cwd, stdio: "ignore", detached: true });
  let late = false;
  const started = performance.now();
  const timer = setTimeout(
    () => {
      late = true;
      process.kill(-child.pid!, "SIGKILL");
    },
    5000 + patience * (slowest ?? 15_000),
  );
  const code = await new Promise<number | null>((resolve) => child.once("exit", resolve));
  clearTimeout(timer);
  if (late) return "timeout";
  if (slowest === undefined) took.push(performance.now() - started);
  return code === 0 ? "passed" : "failed";
}

/**
 * Makes a copy of the files that the tests need, with the repository's dependencies and its own loop package.
 */
function makeScratch(): string {
  const scratch = mkdtempSync(join(tmpdir(), "taskloom-mutants-"));
  for (const path of [
    "package.json",
    "tsconfig.base.json",
    "packages/loop/package.json",
    "packages/loop/tsconfig.json",
    "packages/loop/src",
    "packages/loop/test",
    "test/conformance",
    "test/support",
    "vitest.config.ts",
  ]) {
    mkdirSync(dirname(join(scratch, path)), { recursive: true });
    cpSync(join(root, path), join(scratch, path), { recursive: true });
  }
  mkdirSync(join(scratch, "node_modules/@taskloom"), { recursive: true });
  symlinkSync(join(scratch, "packages/loop"), join(scratch, "node_modules/@taskloom/loop"));
  for (const name of readdirSync(join(root, "node_modules"))) {
    if (name !== "@taskloom")
      symlinkSync(join(root, "node_modules", name), join(scratch, "node_modules", name));
  }
  return scratch;
}

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .toSorted()
    .map((name) => join(folder, name));
}

/**
 * Chooses by a hash of the changed text, so an edit of the kernel changes only the mutants of its own lines.
 */
function choose(from: Mutant[]): Mutant[] {
  if (options.all || from.length <= Number(options.count)) return from;
  const order = from.map((mutant, index) => {
    const text = `${mutant.file} ${mutant.before} ${mutant.after}`;
    let hash = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    return { mutant, index, at: new Random(Number(options.seed), hash).below(2 ** 30) };
  });
  const chosen = order.toSorted((a, b) => a.at - b.at).slice(0, Number(options.count));
  return chosen.toSorted((a, b) => a.index - b.index).map((each) => each.mutant);
}

function show({ file, line, before, after }: Mutant): string {
  return `${file}:${line}\n        - ${before}\n        + ${after}`;
}
