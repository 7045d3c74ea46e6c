/** The numbers that an option accepts. */
export interface NumberRange {
  readonly least: number;
  /** True for an option that is a whole number. */
  readonly isWhole?: boolean;
}

/**
 * Returns the message for an option that is not a number of the range, or undefined for a valid option. Each package
 * throws the message as its own class of error.
 *
 * ```ts
 * import { numberProblem } from "@taskloom/loop/number-option";
 *
 * console.log(numberProblem("attempts", 0, { least: 1, isWhole: true })); // Expected `attempts` to be a whole number from 1, got 0
 * ```
 */
export function numberProblem(
  option: string,
  value: unknown,
  { least, isWhole = false }: NumberRange,
): string | undefined {
  if (typeof value === "number" && value >= least && (!isWhole || Number.isSafeInteger(value)))
    return undefined;
  const expected = isWhole ? `a whole number from ${least}` : `a number of at least ${least}`;
  return `Expected \`${option}\` to be ${expected}, got ${typeof value === "string" ? JSON.stringify(value) : String(value)}`;
}
