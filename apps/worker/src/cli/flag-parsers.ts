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
