import { isDeepStrictEqual } from "node:util";
import { Book } from "./book.ts";
import type { Operation, Settings } from "./operation.ts";
import { Sequence } from "./sequence.ts";
import type { Answer, OpenSide, Side, Sides } from "./side.ts";

/** The time at which each sequence begins. */
const START = 1_800_000_000_000;

export interface Difference {
  readonly seed: number;
  readonly index: number;
  /** The number of the operation after which the sides differed. */
  readonly step: number;
  readonly operation: Operation | undefined;
  /** The place of the first difference, and both values there. */
  readonly at: string;
  readonly bullmq: unknown;
  readonly driver: unknown;
}

export interface Comparison {
  readonly seed: number;
  readonly index: number;
  /** Compares the stored data after each operation, and not only after the last one. */
  readonly isStepwise: boolean;
}

/** An operation, and what followed from it on one side. */
interface Step {
  readonly operation: Operation;
  readonly answer: Answer;
  readonly snapshot: Awaited<ReturnType<Side["snapshot"]>> | undefined;
}

/** One sequence, and all that followed from it on BullMQ's side. */
export interface Recording {
  readonly comparison: Comparison;
  readonly settings: Settings;
  readonly steps: readonly Step[];
}

/** Runs one sequence on both sides, and returns the first difference. */
export async function compare(sides: Sides, comparison: Comparison): Promise<Difference | undefined> {
  return await differenceFrom(await record(sides.bullmq, comparison), sides.driver);
}

/** Runs one sequence on BullMQ's side. */
export async function record(open: OpenSide, comparison: Comparison): Promise<Recording> {
  const book = new Book();
  const sequence = new Sequence(comparison.seed, comparison.index, book);
  const { settings, length } = sequence;
  const steps = await run(open, settings, length, comparison.isStepwise, {
    operationAt: () => sequence.next(),
    onAnswer: (operation, answer) => book.record(operation, answer),
  });
  return { comparison, settings, steps };
}

/** Runs the operations of a recorded sequence on another side, and returns the first difference. */
export async function differenceFrom(
  { comparison, settings, steps: expected }: Recording,
  open: OpenSide,
): Promise<Difference | undefined> {
  const found = await run(open, settings, expected.length, comparison.isStepwise, {
    operationAt: (step) => expected[step]!.operation,
    onAnswer: () => {},
  });
  for (const [step, { operation, answer, snapshot }] of expected.entries()) {
    const place =
      firstDifference("answer", answer, found[step]!.answer) ??
      firstDifference("data", snapshot, found[step]!.snapshot);
    if (place !== undefined) return { ...comparison, step, operation, ...place };
  }
  return undefined;
}

/** Runs operations on one side. `Date.now` returns the sequence's own time meanwhile, so both sides store the same times. */
async function run(
  open: OpenSide,
  settings: Settings,
  count: number,
  isStepwise: boolean,
  {
    operationAt,
    onAnswer,
  }: {
    readonly operationAt: (step: number) => Operation;
    readonly onAnswer: (operation: Operation, answer: Answer) => void;
  },
): Promise<Step[]> {
  const real = Date.now;
  let now = START;
  Date.now = () => now;
  try {
    const side = await open(settings, () => now);
    const steps: Step[] = [];
    try {
      for (let step = 0; step < count; step++) {
        const operation = operationAt(step);
        if (operation.kind === "advance") now += operation.milliseconds;
        const answer = await side.apply(operation);
        const isCompared = isStepwise || step === count - 1;
        steps.push({ operation, answer, snapshot: isCompared ? await side.snapshot() : undefined });
        onAnswer(operation, answer);
      }
      return steps;
    } finally {
      await side.close();
    }
  } finally {
    Date.now = real;
  }
}

type Place = Pick<Difference, "at" | "bullmq" | "driver">;

/** Returns the path of the first place at which two values differ, and both values there. */
export function firstDifference(at: string, bullmq: unknown, driver: unknown): Place | undefined {
  if (isDeepStrictEqual(bullmq, driver)) return undefined;
  if (typeof bullmq !== "object" || typeof driver !== "object" || bullmq === null || driver === null)
    return { at, bullmq, driver };
  const [left, right] = [new Map(Object.entries(bullmq)), new Map(Object.entries(driver))];
  for (const key of new Set([...left.keys(), ...right.keys()])) {
    const found = firstDifference(`${at} / ${key}`, left.get(key), right.get(key));
    if (found !== undefined) return found;
  }
  return { at, bullmq, driver };
}
