import type { HistoryBucket } from "../../contract/history.ts";

/** Returns the buckets of all shards as one history. Figures add up, since each worker writes to one shard at a time. */
export function mergedBuckets(shards: readonly (readonly HistoryBucket[])[]): HistoryBucket[] {
  const merged = new Map<string, { start: number; queue: string; figures: Record<string, number> }>();
  for (const { start, queue, figures } of shards.flat()) {
    const key = `${start} ${queue}`;
    let bucket = merged.get(key);
    if (bucket === undefined) merged.set(key, (bucket = { start, queue, figures: {} }));
    for (const [name, value] of Object.entries(figures))
      bucket.figures[name] = PEAKS.has(name)
        ? Math.max(bucket.figures[name] ?? 0, value)
        : (bucket.figures[name] ?? 0) + value;
  }
  return [...merged.values()].toSorted((a, b) => a.start - b.start || a.queue.localeCompare(b.queue));
}

/** The figures that one worker of a queue counts for all shards, so that the greatest value counts. */
const PEAKS: ReadonlySet<string> = new Set(["waiting", "active", "delayed"]);
