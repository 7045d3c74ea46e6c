import { appendFileSync } from "node:fs";
import { gather, sleep } from "@taskloom/loop";
import { currentJob, defineTask } from "@taskloom/queue";
import type { RemoteTask, TaskQueue } from "@taskloom/queue";
import { defineWorkflow, step, submit } from "@taskloom/workflow";

/** A program whose result does not depend on times. */
export type Tree =
  | { readonly step: number }
  | { readonly job: number }
  | { readonly child: Tree }
  | { readonly sleep: number }
  | { readonly failing: number }
  | { readonly all: readonly Tree[] }
  | { readonly each: readonly Tree[] };

/** Returns the tree of a seed. */
export function treeOf(seed: number): Tree {
  let state = seed >>> 0;
  const choose = (n: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const make = (depth: number): Tree => {
    const kind = choose(depth > 0 ? 9 : 5);
    if (kind === 0) return { job: choose(100) };
    if (kind === 1) return { sleep: choose(30) };
    if (kind === 2) return { failing: choose(100) };
    if (kind < 5) return { step: choose(100) };
    if (kind === 5) return { child: make(depth - 1) };
    const parts = Array.from({ length: 2 + choose(3) }, () => make(depth - 1));
    return kind === 6 ? { all: parts } : { each: parts };
  };
  return { each: Array.from({ length: 4 }, () => make(2)) };
}

/** Returns the result of a tree. */
export function resultOf(tree: Tree): number {
  if ("step" in tree) return tree.step + 1;
  if ("job" in tree) return tree.job + 1;
  if ("child" in tree) return resultOf(tree.child) + 1;
  if ("sleep" in tree) return 0;
  if ("failing" in tree) return tree.failing;
  const parts = "all" in tree ? tree.all : tree.each;
  return parts.reduce((sum, part) => sum + resultOf(part), 0);
}

/** The programs of the first seeds on their way, and the number of those that have ended. */
export interface SubmittedPrograms {
  readonly trees: readonly Tree[];
  readonly runs: readonly RemoteTask<number>[];
  readonly all: Promise<number[]>;
  readonly ended: () => number;
}

/** Submits the programs of so many seeds, and resolves when the engine has them. */
export async function submitPrograms(queue: TaskQueue, count: number): Promise<SubmittedPrograms> {
  const trees = Array.from({ length: count }, (_, n) => treeOf(n + 1));
  const runs = trees.map((tree) => queue.submit(program, tree));
  let ended = 0;
  for (const run of runs) run.addDoneCallback(() => ended++);
  const all = Promise.all(runs);
  await Promise.all(runs.map((run) => run.sent()));
  return { trees, runs, all, ended: () => ended };
}

/**
 * Returns about how many appends a program and its children need, if nobody dies. Ends that come while an append is under
 * way share the next one.
 */
export function appendsOf(tree: Tree): number {
  const partsOf = (part: Tree): number => {
    if ("sleep" in part) return 0;
    if ("child" in part) return 2 + appendsOf(part.child);
    const parts = "all" in part ? part.all : "each" in part ? part.each : undefined;
    return parts === undefined ? 1 : parts.reduce((sum, each) => sum + partsOf(each), 0);
  };
  return 1 + 0.7 * partsOf(tree);
}

/** Notes an effect: the process, and the step or job that had it. */
function noteEffect(): void {
  appendFileSync(process.env["TASKLOOM_LEDGER"]!, `${process.pid} ${currentJob()!.id}\n`);
}

export const plus = defineTask({ name: "death.plus" }, async (n: number, pause: number) => {
  noteEffect();
  await sleep(pause);
  return n + 1;
});
const failing = defineTask({ name: "death.failing" }, async (n: number) => {
  noteEffect();
  throw new RangeError(String(n));
});

export const program = defineWorkflow(
  { name: "death.program", residentFor: 20 },
  function* (tree: Tree): Generator<never, number, unknown> {
    if ("step" in tree) return yield* step(plus, tree.step, 5);
    if ("job" in tree) return yield* submit(plus, tree.job, 5);
    if ("child" in tree) return (yield* submit(program, tree.child)) + 1;
    if ("sleep" in tree) {
      yield* sleep(tree.sleep);
      return 0;
    }
    if ("failing" in tree) {
      try {
        yield* step(failing, tree.failing);
      } catch (error) {
        return Number((error as Error).message);
      }
      return Number.NaN;
    }
    let sum = 0;
    if ("all" in tree) {
      for (const part of yield* gather(tree.all.map((each) => () => program(each)))) sum += part;
    } else {
      for (const each of tree.each) sum += yield* program(each);
    }
    return sum;
  },
);

export const steps = defineWorkflow({ name: "death.steps" }, function* (count: number, pause: number) {
  let sum = 0;
  for (let n = 0; n < count; n++) sum += yield* step(plus, n, pause);
  return sum;
});

export const tasks: readonly object[] = [plus, failing, program, steps];
