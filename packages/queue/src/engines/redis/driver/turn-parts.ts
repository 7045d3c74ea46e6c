import { MAX_ENDS } from "../../../contract/lane-driver.ts";
import type { RunEnd } from "../../../contract/lane-driver.ts";

/** How much text one script stores, in UTF-16 code units. */
const MAX_TEXT = 1_000_000;

/**
 * Splits the ends of a turn into the parts that one script stores each. The last part is never missing, since the claim
 * goes with it. The ids of a part are distinct: a script reads all locks before it stores an end.
 */
export function turnParts(ends: readonly RunEnd[]): RunEnd[][] {
  let part: RunEnd[] = [];
  const parts = [part];
  let ids = new Set<string>();
  let size = 0;
  for (const end of ends) {
    const { length } = end.text;
    const own = length + (end.stacktrace?.length ?? 0) + (end.delivery?.item.length ?? 0);
    if (part.length > 0 && (part.length === MAX_ENDS || size + own > MAX_TEXT || ids.has(end.id))) {
      parts.push((part = []));
      ids = new Set();
      size = 0;
    }
    part.push(end);
    ids.add(end.id);
    size += own;
  }
  return parts;
}
