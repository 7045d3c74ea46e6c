import { ArgumentError } from "@taskloom/loop";
import { unknownOption } from "@taskloom/loop/did-you-mean";

/** The names of all options of a kind. The compiler checks that the list is complete. */
export type OptionNames<T> = Readonly<Record<keyof T, true>>;

/**
 * Checks that all options are known.
 *
 * @throws {@link ArgumentError} (`INVALID_ARGUMENT`) for an unknown option
 */
export function checkOptionNames<T extends object>(options: T, known: OptionNames<T>, of: string): void {
  const message = unknownOption(options, Object.keys(known), of);
  if (message !== undefined) throw new ArgumentError(message);
}

/**
 * Checks an option that is a number, if the option is set.
 *
 * @throws RangeError for a value that is not a number of at least `least`
 */
export function expectNumber(name: string, value: number | undefined, least: number): void {
  if (value !== undefined && !(typeof value === "number" && value >= least))
    throw new RangeError(`Expected \`${name}\` to be a number of at least ${least}, got ${String(value)}`);
}

/**
 * Checks an option that is a whole number.
 *
 * @throws RangeError for a value that is not a whole number from `least`
 */
export function expectWhole(name: string, value: number, least: number): void {
  if (!(Number.isInteger(value) && value >= least))
    throw new RangeError(`Expected \`${name}\` to be a whole number from ${least}, got ${String(value)}`);
}
