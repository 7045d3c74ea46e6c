import { ArgumentError } from "@taskloom/loop";
import { unknownOption } from "@taskloom/loop/did-you-mean";
import { numberProblem } from "@taskloom/loop/number-option";
import type { NumberRange } from "@taskloom/loop/number-option";

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
 * @throws RangeError for a value that is not a number in the range
 */
export function expectNumber(name: string, value: number | undefined, range: NumberRange): void {
  const message = value === undefined ? undefined : numberProblem(name, value, range);
  if (message !== undefined) throw new RangeError(message);
}
