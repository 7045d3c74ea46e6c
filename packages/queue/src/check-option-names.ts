import { unknownOption } from "@taskloom/loop/did-you-mean";
import { TaskOptionsError } from "./errors.ts";

/**
 * Refuses an option that is not known: a misspelled one would be ignored silently.
 *
 * @param known has the known names as keys.
 * @throws {@link TaskOptionsError} that names the option, and the nearest known one.
 */
export function checkOptionNames(options: object, known: object, of: string): void {
  const message = unknownOption(options, Object.keys(known), of);
  if (message !== undefined) throw new TaskOptionsError(message);
}
