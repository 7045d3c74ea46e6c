import type { Store } from "../store/store.ts";

const MINUTE_MS = 60_000;

/** Counts a finished job in the minute in which it ended. */
export function collectMetrics(store: Store, q: number, kind: string, most: number, now: number): void {
  const row = store.get(
    "SELECT count, prev_ts, prev_count, data FROM metric WHERE q = ? AND kind = ?",
    q,
    kind,
  );
  if (row === undefined) {
    store.run("INSERT INTO metric (q, kind, count, prev_ts) VALUES (?, ?, 1, ?)", q, kind, now);
    return;
  }
  const before = Number(row["count"]);
  const minutes = Math.min(
    Math.floor(now / MINUTE_MS) - Math.floor(Number(row["prev_ts"]) / MINUTE_MS),
    most,
  );
  if (minutes <= 0) {
    store.run("UPDATE metric SET count = count + 1 WHERE q = ? AND kind = ?", q, kind);
    return;
  }
  const points = [
    ...Array.from({ length: minutes - 1 }, () => 0),
    before - Number(row["prev_count"]),
    ...(JSON.parse(String(row["data"])) as number[]),
  ].slice(0, most);
  store.run(
    "UPDATE metric SET count = count + 1, prev_ts = ?, prev_count = ?, data = ? WHERE q = ? AND kind = ?",
    now,
    before,
    JSON.stringify(points),
    q,
    kind,
  );
}

/**
 * Returns the counts of the minutes from `start` to `end` inclusive, newest first. Negative indexes count from the end.
 */
export function getMetrics(
  store: Store,
  queue: string,
  kind: string,
  start: number,
  end: number,
): { readonly total: string; readonly points: string[]; readonly length: number } {
  const q = store.find(queue);
  const row =
    q === undefined
      ? undefined
      : store.get("SELECT count, data FROM metric WHERE q = ? AND kind = ?", q, kind);
  if (row === undefined) return { total: "0", points: [], length: 0 };
  const all = JSON.parse(String(row["data"])) as number[];
  const from = start < 0 ? Math.max(all.length + start, 0) : start;
  const to = end < 0 ? all.length + end : end;
  const points = all.slice(from, to + 1).map(String);
  return { total: String(row["count"]), points, length: points.length };
}
