import { ArgumentError } from "@taskloom/loop";
import { unknownOption } from "@taskloom/loop/did-you-mean";

/** The names of all options of a kind; the compiler keeps the list complete. */
export type OptionNames<T> = Readonly<Record<keyof T, true>>;

/** @throws ArgumentError (`INVALID_ARGUMENT`) for an option that does not exist. */
export function checkOptionNames<T extends object>(options: T, known: OptionNames<T>, of: string): void {
  const message = unknownOption(options, Object.keys(known), of);
  if (message !== undefined) throw new ArgumentError(message);
}
