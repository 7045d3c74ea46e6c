import { isDeepStrictEqual } from "node:util";
import { Book } from "./book.ts";
import type { Operation } from "./operation.ts";
import { Sequence } from "./sequence.ts";
import type { OpenSides, Sides } from "./side.ts";

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

/**
 * Runs one sequence on both sides, and returns the first difference.
 *
 * `Date.now` returns the sequence's own time meanwhile, so both sides store the same times.
 */
export async function compare(open: OpenSides, comparison: Comparison): Promise<Difference | undefined> {
  const real = Date.now;
  let now = START;
  const book = new Book();
  const sequence = new Sequence(comparison.seed, comparison.index, book);
  const sides = await open(sequence.settings, () => now);
  Date.now = () => now;
  try {
    for (let step = 0; step < sequence.length; step++) {
      const operation = sequence.next();
      if (operation.kind === "advance") now += operation.milliseconds;
      const [bullmq, driver] = [await sides.bullmq.apply(operation), await sides.driver.apply(operation)];
      const isLast = step === sequence.length - 1;
      const found =
        firstDifference("answer", bullmq, driver) ??
        (comparison.isStepwise || isLast ? await differenceOf(sides) : undefined);
      if (found !== undefined) return { ...comparison, step, operation, ...found };
      book.record(operation, bullmq);
    }
    return undefined;
  } finally {
    Date.now = real;
    await sides.bullmq.close();
    await sides.driver.close();
  }
}

type Place = Pick<Difference, "at" | "bullmq" | "driver">;

async function differenceOf({ bullmq, driver }: Sides): Promise<Place | undefined> {
  return firstDifference("data", await bullmq.snapshot(), await driver.snapshot());
}

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
