import { ACTIVE } from "../schema/states.ts";
import { Refusal } from "../store/store.ts";
import type { Store } from "../store/store.ts";
import { limitedFor } from "./claim.ts";
import { findJob } from "./parents.ts";
import { MISSING_JOB } from "./refusals.ts";

/** Renews the locks of active jobs. Returns the ids of the jobs whose lock its token does not hold any more. */
export function extendLocks(
  store: Store,
  queue: string,
  ids: readonly string[],
  tokens: readonly string[],
  until: number,
): string[] {
  const q = store.find(queue);
  return ids.filter(
    (id, index) =>
      q === undefined ||
      store.run(
        `UPDATE job SET locked_until = ? WHERE q = ? AND id = ? AND state = ${ACTIVE} AND lock_token = ?`,
        until,
        q,
        id,
        tokens[index] ?? "",
      ) === 0,
  );
}

function requireJob(store: Store, queue: string, id: string): number {
  const job = findJob(store, queue, id);
  if (job === undefined) throw new Refusal(MISSING_JOB);
  return Number(job["pk"]);
}

export function updateData(store: Store, queue: string, id: string, data: string): void {
  store.run("UPDATE job SET data = ? WHERE pk = ?", data, requireJob(store, queue, id));
}

export function updateProgress(store: Store, queue: string, id: string, progress: string): void {
  store.run("UPDATE job SET progress = ? WHERE pk = ?", progress, requireJob(store, queue, id));
  store.publish(queue, "progress", { jobId: id, data: progress });
}

/** Adds a line to a job's log. Returns the number of its lines. */
export function addLog(
  store: Store,
  queue: string,
  id: string,
  line: string,
  keep: number | undefined,
): number {
  const pk = requireJob(store, queue, id);
  const last = store.get("SELECT max(idx) AS last FROM log WHERE job = ?", pk)?.["last"];
  const idx = last === null || last === undefined ? 0 : Number(last) + 1;
  store.run("INSERT INTO log (job, idx, row) VALUES (?, ?, ?)", pk, idx, line);
  if (keep !== undefined && keep > 0) store.run("DELETE FROM log WHERE job = ? AND idx <= ?", pk, idx - keep);
  return Number(store.get("SELECT count(*) AS n FROM log WHERE job = ?", pk)?.["n"]);
}

/** Removes all but the last `keep` lines of a job's log. */
export function clearLogs(store: Store, queue: string, id: string, keep = 0): void {
  const job = findJob(store, queue, id);
  if (job === undefined) return;
  store.run(
    "DELETE FROM log WHERE job = ?1 AND idx <= (SELECT max(idx) FROM log WHERE job = ?1) - ?2",
    Number(job["pk"]),
    keep,
  );
}

/** Returns a job's log lines from `start` to `end` inclusive, and the number of all lines. */
export function getJobLogs(
  store: Store,
  queue: string,
  id: string,
  start: number,
  end: number,
  asc: boolean,
): { readonly logs: string[]; readonly count: number } {
  const job = findJob(store, queue, id);
  if (job === undefined) return { logs: [], count: 0 };
  const pk = Number(job["pk"]);
  const count = Number(store.get("SELECT count(*) AS n FROM log WHERE job = ?", pk)?.["n"]);
  const from = start < 0 ? Math.max(count + start, 0) : start;
  const to = end < 0 ? count + end : end;
  if (to < from) return { logs: [], count };
  const rows = store.all(
    `SELECT row FROM log WHERE job = ? ORDER BY idx ${asc ? "ASC" : "DESC"} LIMIT ? OFFSET ?`,
    pk,
    to - from + 1,
    from,
  );
  return { logs: rows.map(({ row }) => String(row)), count };
}

/** Removes a deduplication key if the job `id` holds it, or any job without `id`. Returns the number of removed keys. */
export function removeKey(
  store: Store,
  queue: string,
  key: string,
  id: string | undefined,
  now: number,
): number {
  const q = store.find(queue);
  if (q === undefined) return 0;
  if (id === undefined) return store.run("DELETE FROM dedup WHERE q = ? AND dedup_id = ?", q, key);
  return store.run(
    "DELETE FROM dedup WHERE q = ? AND dedup_id = ? AND job_id = ? AND (expires IS NULL OR expires > ?)",
    q,
    key,
    id,
    now,
  );
}

/** Returns the id of the job that holds a deduplication key. */
export function keyHolder(store: Store, queue: string, key: string, now: number): string | null {
  const q = store.find(queue);
  if (q === undefined) return null;
  const row = store.get(
    "SELECT job_id FROM dedup WHERE q = ? AND dedup_id = ? AND (expires IS NULL OR expires > ?)",
    q,
    key,
    now,
  );
  return row === undefined ? null : String(row["job_id"]);
}

/** Returns the milliseconds until the rate limit ends: 0 if it lets jobs run now, -2 without a rate limit. */
export function rateLimitTtl(store: Store, queue: string, maxJobs: number | undefined, now: number): number {
  const q = store.find(queue);
  if (q === undefined) return maxJobs === undefined || maxJobs <= 0 ? -2 : 0;
  const max = maxJobs !== undefined && maxJobs > 0 ? maxJobs : store.metaNumber(q, "max");
  if (max !== undefined) return limitedFor(store, q, max, now);
  const expires = Number(store.get("SELECT expires FROM rate_limit WHERE q = ?", q)?.["expires"] ?? 0);
  return expires > now ? expires - now : -2;
}

export function setRateLimit(store: Store, queue: string, until: number): void {
  store.run(
    "INSERT INTO rate_limit (q, points, expires) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET points = excluded.points, expires = excluded.expires",
    store.require(queue),
    Number.MAX_SAFE_INTEGER,
    until,
  );
}

export function removeRateLimit(store: Store, queue: string): number {
  const q = store.find(queue);
  return q === undefined ? 0 : store.run("DELETE FROM rate_limit WHERE q = ?", q);
}

export function pause(store: Store, queue: string, isPaused: boolean): void {
  const q = store.require(queue);
  if (isPaused) store.setMeta(q, "paused", "1");
  else {
    store.removeMeta(q, "paused");
    store.wake(queue);
  }
  store.publish(queue, isPaused ? "paused" : "resumed");
}

export function setMeta(store: Store, queue: string, values: Readonly<Record<string, string>>): number {
  const q = store.require(queue);
  const entries = Object.entries(values);
  for (const [field, value] of entries) store.setMeta(q, field, value);
  store.wake(queue); // A limit that was lifted lets jobs run.
  return entries.length;
}

export function getMeta(store: Store, queue: string): Record<string, string> {
  const q = store.find(queue);
  return q === undefined ? {} : Object.fromEntries(store.meta(q));
}

export function removeMeta(store: Store, queue: string, fields: readonly string[]): number {
  const q = store.find(queue);
  if (q === undefined) return 0;
  store.wake(queue);
  return fields.reduce((sum, field) => sum + store.removeMeta(q, field), 0);
}
