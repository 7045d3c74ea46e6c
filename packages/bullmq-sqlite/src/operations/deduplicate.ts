import { ACTIVE, DELAYED, WAITING } from "../schema/states.ts";
import type { Store } from "../store/store.ts";

/** BullMQ's deduplication options, in the form that is stored with a job. */
export interface Deduplication {
  readonly id?: string;
  readonly ttl?: number;
  readonly extend?: boolean;
  readonly replace?: boolean;
  readonly reschedule?: boolean;
  readonly keepLastIfActive?: boolean;
}

/** A duplicate that is stored until the active job of its key ends. */
interface NextJob {
  readonly name: string;
  readonly data: string;
  readonly opts: {
    readonly delay?: number;
    readonly priority?: number;
    readonly lifo?: boolean;
    readonly deduplication?: Deduplication;
    readonly debounce?: Deduplication;
  };
  readonly jobId: string;
}

/** Returns the id of the job that holds a key; undefined if no job holds it any more. */
function holderOf(store: Store, q: number, key: string, now: number): string | undefined {
  const row = store.get("SELECT job_id, expires FROM dedup WHERE q = ? AND dedup_id = ?", q, key);
  if (row === undefined) return undefined;
  if (row["expires"] !== null) return Number(row["expires"]) > now ? String(row["job_id"]) : undefined;
  const holder = String(row["job_id"]);
  if (store.get("SELECT 1 AS found FROM job WHERE q = ? AND id = ?", q, holder) !== undefined) return holder;
  // Its job was removed without its key.
  store.run("DELETE FROM dedup WHERE q = ? AND dedup_id = ?", q, key);
  return undefined;
}

function hold(store: Store, q: number, key: string, id: string, expires: number | null): void {
  store.run(
    "INSERT INTO dedup (q, dedup_id, job_id, expires) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET job_id = excluded.job_id, expires = excluded.expires",
    q,
    key,
    id,
    expires,
  );
}

/**
 * Checks whether a job is a duplicate before it is added. Returns the id of the job that takes its place. For a job that
 * is no duplicate the result is undefined, and the job holds the key.
 */
export function deduplicate(
  store: Store,
  queue: string,
  job: NextJob,
  options: Deduplication,
  now: number,
): string | undefined {
  const { id: key, extend = false, replace = false, keepLastIfActive: keepsLast = false } = options;
  if (key === undefined || key === "") return undefined;
  const ttl = options.ttl ?? 0;
  const q = store.require(queue);
  const holder = holderOf(store, q, key, now);
  const until = !keepsLast && ttl > 0 ? now + ttl : null;
  const keep = (): boolean => keepsLast && holder !== undefined && keepNext(store, q, key, holder, job);
  if (holder === undefined) {
    hold(store, q, key, job.jobId, until);
    return undefined;
  }
  if (replace) {
    const removed = store.run("DELETE FROM job WHERE q = ? AND id = ? AND state = ?", q, holder, DELAYED);
    if (removed === 0) {
      keep();
      return holder;
    }
    store.publish(queue, "removed", { jobId: holder, prev: "delayed" });
    store.publish(queue, "deduplicated", {
      jobId: job.jobId,
      deduplicationId: key,
      deduplicatedJobId: holder,
    });
    // A time to live that is not extended keeps its end.
    const keepsExpiry = !keepsLast && !extend && ttl > 0;
    store.run(
      `UPDATE dedup SET job_id = ?, next = NULL${keepsExpiry ? "" : ", expires = ?"} WHERE q = ? AND dedup_id = ?`,
      ...(keepsExpiry ? [job.jobId, q, key] : [job.jobId, until, q, key]),
    );
    return undefined;
  }
  if (options.reschedule === true) reschedule(store, queue, q, holder, job.opts.delay ?? 0, now);
  const isKept = keep();
  if (!isKept && extend && ttl > 0)
    store.run("UPDATE dedup SET expires = ? WHERE q = ? AND dedup_id = ?", until, q, key);
  store.publish(queue, "deduplicated", {
    jobId: holder,
    deduplicationId: key,
    deduplicatedJobId: job.jobId,
  });
  return holder;
}

function reschedule(store: Store, queue: string, q: number, id: string, delay: number, now: number): void {
  const due = now + Math.max(delay, 0);
  const changed = store.run(
    "UPDATE job SET delay = ?, due = ? WHERE q = ? AND id = ? AND state = ?",
    delay,
    due,
    q,
    id,
    DELAYED,
  );
  if (changed === 0) return;
  store.publish(queue, "delayed", { jobId: id, delay: due });
  store.wake(queue);
}

/** Stores the last duplicate that comes while the job runs. Returns false if the job does not run. */
function keepNext(store: Store, q: number, key: string, holder: string, job: NextJob): boolean {
  const runs = store.get(
    "SELECT 1 AS found FROM job WHERE q = ? AND id = ? AND state = ?",
    q,
    holder,
    ACTIVE,
  );
  if (runs === undefined) return false;
  store.run(
    "UPDATE dedup SET next = ?, expires = NULL WHERE q = ? AND dedup_id = ?",
    JSON.stringify(job),
    q,
    key,
  );
  return true;
}

/** Releases the key of a job that has ended. If a duplicate is stored, it is added and holds the key. */
export function releaseKey(store: Store, queue: string, key: string | null, id: string, now: number): void {
  if (key === null || key === "") return;
  const q = store.require(queue);
  const row = store.get("SELECT job_id, expires, next FROM dedup WHERE q = ? AND dedup_id = ?", q, key);
  if (row === undefined) return;
  if (row["next"] !== null)
    return addNext(store, queue, q, key, JSON.parse(String(row["next"])) as NextJob, now);
  const isOver = row["expires"] === null ? row["job_id"] === id : Number(row["expires"]) <= now;
  if (isOver) store.run("DELETE FROM dedup WHERE q = ? AND dedup_id = ?", q, key);
}

function addNext(store: Store, queue: string, q: number, key: string, job: NextJob, now: number): void {
  const { opts } = job;
  const { keepLastIfActive, ttl = 0 } = opts.deduplication ?? opts.debounce ?? {};
  const id = job.jobId === "" ? store.nextId(q) : job.jobId;
  const delay = opts.delay ?? 0;
  const due = delay > 0 ? now + delay : null;
  store.run(
    "INSERT INTO job (q, id, name, state, prio, ord, due, delay, data, opts, added, dedup_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    q,
    id,
    job.name,
    due === null ? WAITING : DELAYED,
    opts.priority ?? 0,
    store.nextOrd(opts.lifo === true),
    due,
    delay,
    job.data,
    JSON.stringify(opts),
    now,
    key,
  );
  store.run(
    "UPDATE dedup SET job_id = ?, expires = ?, next = NULL WHERE q = ? AND dedup_id = ?",
    id,
    keepLastIfActive === true || ttl <= 0 ? null : now + ttl,
    q,
    key,
  );
  store.wake(queue);
  if (due === null) store.publish(queue, "waiting", { jobId: id });
  else store.publish(queue, "delayed", { jobId: id, delay: due });
}

/** Removes the key of a job that is removed. */
export function dropKey(store: Store, q: number, key: string | null, id: string): void {
  if (key === null || key === "") return;
  store.run("DELETE FROM dedup WHERE q = ? AND dedup_id = ? AND job_id = ?", q, key, id);
}
