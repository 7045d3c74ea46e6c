/**
 * Mutants that no test can tell from the original, each with the reason; found by what the line was
 * and became, so that other edits of the file do not matter.
 */
export interface Equivalent {
  readonly file: string;
  readonly before: string;
  readonly after: string;
  readonly reason: string;
}

export const equivalents: readonly Equivalent[] = [];
