import { TaskOptionsError } from "./errors.ts";

/**
 * The longest time of an option: 10 years. A longer time is a mistake of units, and engines would store it wrongly:
 * BullMQ's order of delayed jobs overflows after 272 years, and JSON has no Infinity.
 */
export const LONGEST_TIME_MS: number = 10 * 365 * 86_400_000;

/**
 * Returns a time as the engines store it: in whole milliseconds, rounded up.
 *
 * @throws {@link TaskOptionsError} that names the option, for a value that is not a time of at most 10 years.
 */
export function wholeMilliseconds(
  option: string,
  value: number,
  { from = 0 }: { readonly from?: 0 | 1 } = {},
): number {
  const whole = typeof value === "number" ? Math.ceil(value) : Number.NaN;
  if (whole >= from && value >= 0 && whole <= LONGEST_TIME_MS) return whole;
  throw new TaskOptionsError(
    `Expected ${option} to be a number of milliseconds ${from === 0 ? "from 0" : "above 0"} to ${LONGEST_TIME_MS} (10 years), got ${String(value)}`,
  );
}
