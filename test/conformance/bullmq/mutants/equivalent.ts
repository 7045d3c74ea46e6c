import type { TextMutant } from "./text-mutant.ts";

/** Mutants that no sequence can tell from the original, each with the reason. */
interface Equivalents {
  readonly reason: string;
  /** The line before and after the change, without the spaces around it. */
  readonly mutants: readonly (readonly [before: string, after: string])[];
}

const EQUIVALENTS: readonly Equivalents[] = [];

/** Returns why no sequence can notice a mutant; undefined for a mutant that has to be noticed. */
export function reasonFor({ before, after }: TextMutant): string | undefined {
  return EQUIVALENTS.find(({ mutants }) =>
    mutants.some(([from, to]) => from === before.trim() && to === after.trim()),
  )?.reason;
}
