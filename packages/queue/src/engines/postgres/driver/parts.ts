/** The greatest number of jobs in one statement. A longer statement would hold its locks too long. */
const MAX_JOBS = 500;
/** The greatest number of characters of jobs in one statement, unless a single job has more. */
const MAX_TEXT = 4_000_000;

/** Splits jobs, in their order, into the parts that one statement stores. */
export function partsOf<T>(jobs: readonly T[], sizeOf: (job: T) => number): T[][] {
  const parts: T[][] = [];
  let part: T[] = [];
  let size = 0;
  for (const job of jobs) {
    const own = sizeOf(job);
    if (part.length > 0 && (part.length === MAX_JOBS || size + own > MAX_TEXT)) {
      parts.push(part);
      part = [];
      size = 0;
    }
    part.push(job);
    size += own;
  }
  if (part.length > 0) parts.push(part);
  return parts;
}
