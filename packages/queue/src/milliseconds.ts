import { TaskOptionsError } from "./errors.ts";

/**
 * The longest time that an option takes, in milliseconds: 10 years. A longer one is a mistake of units, and engines
 * would store it wrongly: BullMQ's order of delayed jobs overflows after 272 years, and an Infinity is no JSON.
 */
export const LONGEST_TIME_MS: number = 10 * 365 * 86_400_000;

/**
 * A time as the engines store it: whole milliseconds, rounded up.
 *
 * @throws {@link TaskOptionsError} that names the option, for a value that is no time of at most 10 years.
 */
export function wholeMilliseconds(
  option: string,
  value: number,
  { from = 0 }: { readonly from?: 0 | 1 } = {},
): number {
  const whole = typeof value === "number" ? Math.ceil(value) : Number.NaN;
  if (whole >= from && value >= 0 && whole <= LONGEST_TIME_MS) return whole;
  throw new TaskOptionsError(
    `Expected ${option} to be a number of milliseconds ${from === 0 ? "from 0" : "above 0"} to ${LONGEST_TIME_MS} (10 years), got ${String(value)}.`,
  );
}
