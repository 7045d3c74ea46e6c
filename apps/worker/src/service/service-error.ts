/**
 * What the service answers when it cannot do what was asked: `code` for programs, `status` for HTTP, and a message that
 * says what to do next.
 */
export class ServiceError extends Error {
  readonly code: string;
  readonly status: number;

  constructor(status: number, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ServiceError";
    this.status = status;
    this.code = code;
  }
}

/** The known name that is nearest to one that is not known, as a hint; empty when none is near. */
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
      next[j] = Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + same);
    }
    row = next;
  }
  return row[b.length] as number;
}
