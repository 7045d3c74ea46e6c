/**
 * The known name that is nearest to one that is not known, as a sentence with a space before it; empty when
 * none is near.
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

/** Levenshtein's distance, a row at a time. */
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
 * Says which option is not known, with a hint; undefined when all are. An option that is misspelled would
 * otherwise be ignored without a word.
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
