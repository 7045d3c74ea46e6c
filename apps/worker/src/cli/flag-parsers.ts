import type { Backoff } from "@taskloom/queue";
import { InvalidArgumentError } from "commander";
import { numberFrom, wholeNumberFrom } from "../config/number-checks.ts";

function flagParser<T>(check: (value: string) => T): (value: string) => T {
  return (value) => {
    try {
      return check(value);
    } catch (error) {
      throw new InvalidArgumentError(`Expected ${(error as Error).message}`);
    }
  };
}

/** Returns a parser of whole numbers of at least `min`. */
export function whole(min: number): (value: string) => number {
  return flagParser(wholeNumberFrom(min));
}

/** Parses a number of seconds. */
export const seconds: (value: string) => number = flagParser(numberFrom(0));

/** Parses several values, which are separated by commas or by repeating the flag. */
export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...value.split(",").map((each) => each.trim())];
}

/**
 * Parses the wait between attempts: `fixed:SECONDS`, or `exponential:SECONDS`, which doubles each time, with the greatest
 * wait as a third part.
 */
export const backoff: (value: string) => Backoff = flagParser((value) => {
  const [type, first, greatest, ...rest] = value.split(":");
  const expected = new TypeError("fixed:SECONDS or exponential:SECONDS[:GREATEST], as in exponential:1:60");
  if ((type !== "fixed" && type !== "exponential") || first === undefined || rest.length > 0) throw expected;
  const number = numberFrom(0);
  if (greatest === undefined) return { type, delay: number(first) * 1_000 };
  if (type === "fixed") throw expected;
  return { type, delay: number(first) * 1_000, maxDelay: number(greatest) * 1_000 };
});
