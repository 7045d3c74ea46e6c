/**
 * Returns a hint with the known name that is nearest to an unknown name, as a sentence with a space before it. If no
 * known name is near, returns an empty string.
 *
 * ```ts
 * import { didYouMean } from "@taskloom/loop/did-you-mean";
 *
 * console.log(`There is no maxThread.${didYouMean("maxThread", ["maxThreads", "minThreads"])}`); // There is no maxThread. Did you mean maxThreads?
 * ```
 */
export function didYouMean(name: string, known: Iterable<string>): string {
  let best: { name: string; distance: number } | undefined;
  for (const each of known) {
    const distance = editDistance(name.toLowerCase(), each.toLowerCase());
    if (distance <= Math.max(2, name.length / 3) && (best === undefined || distance < best.distance)) {
      best = { name: each, distance };
    }
  }
  return best === undefined ? "" : ` Did you mean ${best.name}?`;
}

/** Returns Levenshtein's distance, which it computes row by row. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + same);
    }
    row = next;
  }
  return row[b.length]!;
}

/**
 * Returns a message about the first unknown option, with a hint; undefined if all options are known. Without the
 * check a misspelled option would be ignored silently.
 *
 * ```ts
 * import { unknownOption } from "@taskloom/loop/did-you-mean";
 *
 * console.log(unknownOption({ retries: 3 }, ["attempts"], "defineTask")); // There is no option `retries` of defineTask. Known are: attempts.
 * ```
 */
export function unknownOption(options: object, known: readonly string[], of: string): string | undefined {
  const name = Object.keys(options).find((key) => !known.includes(key));
  if (name === undefined) return undefined;
  return `There is no option \`${name}\` of ${of}.${didYouMean(name, known)} Known are: ${known.join(", ")}.`;
}
