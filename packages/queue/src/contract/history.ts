/**
 * The history of a queue: what has happened in it, in buckets of several lengths. Each length is kept for a time, so the
 * history of a queue has a bounded size: 360 buckets of ten seconds, 288 of five minutes and 336 of an hour.
 *
 * Workers add to the buckets, so the figures of several workers add up. Every worker writes once in ten seconds.
 */
export const HISTORY_LENGTHS: readonly HistoryLength[] = [
  { length: 10_000, keep: 3_600_000 },
  { length: 300_000, keep: 86_400_000 },
  { length: 3_600_000, keep: 14 * 86_400_000 },
];

/** A length of buckets and the time for which they are kept, in milliseconds. */
export interface HistoryLength {
  readonly length: number;
  readonly keep: number;
}

/** Whole numbers by name. A name has letters and digits. */
export type Figures = Readonly<Record<string, number>>;

/** The figures of one queue since the write before. */
export interface HistoryEntry {
  readonly queue: string;
  /** Figures that are added to those of the bucket. */
  readonly sums: Figures;
  /** Figures that replace those of the bucket if they are greater. */
  readonly peaks: Figures;
}

/** One bucket of a queue. */
export interface HistoryBucket {
  /** Milliseconds of the epoch. */
  readonly start: number;
  readonly queue: string;
  readonly figures: Figures;
}

/** The buckets to read: of one length, from one start to another, both included. */
export interface HistoryRange {
  readonly length: number;
  readonly from: number;
  readonly to: number;
}

/** Returns the start of the bucket that a time falls into. */
export function bucketOf(time: number, length: number): number {
  return Math.floor(time / length) * length;
}

/** The figures of a bucket as they are stored: one number, which is added or compared. */
export interface StoredFigure {
  readonly length: number;
  readonly start: number;
  readonly queue: string;
  readonly name: string;
  readonly value: number;
  readonly isPeak: boolean;
}

/** Returns the figures that an entry adds to the buckets of all lengths, for an engine that stores them in rows. */
export function storedFigures(entries: readonly HistoryEntry[], time: number): StoredFigure[] {
  return HISTORY_LENGTHS.flatMap(({ length }) => {
    const start = bucketOf(time, length);
    return entries.flatMap(({ queue, sums, peaks }) => [
      ...Object.entries(sums).map(([name, value]) => ({ length, start, queue, name, value, isPeak: false })),
      ...Object.entries(peaks).map(([name, value]) => ({ length, start, queue, name, value, isPeak: true })),
    ]);
  });
}

/** Returns buckets out of the rows of an engine. The oldest bucket comes first. */
export function bucketsOf(
  rows: Iterable<Pick<StoredFigure, "start" | "queue" | "name" | "value">>,
): HistoryBucket[] {
  const buckets = new Map<string, { start: number; queue: string; figures: Record<string, number> }>();
  for (const { start, queue, name, value } of rows) {
    const key = `${start} ${queue}`;
    let bucket = buckets.get(key);
    if (bucket === undefined) buckets.set(key, (bucket = { start, queue, figures: {} }));
    bucket.figures[name] = value;
  }
  return [...buckets.values()].toSorted((a, b) => a.start - b.start || a.queue.localeCompare(b.queue));
}
