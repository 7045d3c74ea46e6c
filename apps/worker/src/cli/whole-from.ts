import { InvalidArgumentError } from "commander";

/** A parser for flags that take whole numbers from `least`. */
export function wholeFrom(least: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!Number.isSafeInteger(number) || number < least)
      throw new InvalidArgumentError(`Expected a whole number from ${least}.`);
    return number;
  };
}

/** A parser for flags that take several values, with commas between them or by being given again. */
export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...value.split(",").map((each) => each.trim())];
}

/** A parser for flags that take a number of seconds. */
export function seconds(value: string): number {
  const number = Number(value);
  if (value.trim() === "" || !Number.isFinite(number) || number < 0)
    throw new InvalidArgumentError("Expected a number of seconds from 0.");
  return number;
}
