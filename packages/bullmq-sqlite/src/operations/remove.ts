import { ACTIVE, COMPLETED, DELAYED, FAILED, WAITING } from "../schema/states.ts";
import { Refusal } from "../store/store.ts";
import type { Row, Store } from "../store/store.ts";
import { dropKey } from "./deduplicate.ts";
import { dropChild, findJob, nodeKey, parentOf, recount } from "./parents.ts";
import type { ParentName } from "./parents.ts";
import { BELONGS_TO_SCHEDULER, HAS_ACTIVE, MISSING_JOB, MISSING_PARENT, NOT_PAUSED } from "./refusals.ts";

const isLocked = (job: Row, now: number): boolean =>
  job["lock_token"] !== null && Number(job["locked_until"]) > now;

function textOrNull(value: Row[string] | undefined): string | null {
  return value === null || value === undefined ? null : String(value);
}

/** Returns the children of a job that exist, by the rows that name it as their parent. */
function childrenOf(store: Store, queue: string, id: string): { queue: string; row: Row }[] {
  return store
    .all(
      "SELECT job.*, queue.name AS queue_name FROM job JOIN queue USING (q) WHERE parent_queue = ? AND parent_id = ?",
      queue,
      id,
    )
    .map((row) => ({ queue: String(row["queue_name"]), row }));
}

/**
 * Removes a job, and its children if `withChildren` is true. Returns the number of removed jobs, which is 0 if the job does
 * not exist, or if the job or a child is locked.
 */
export function remove(store: Store, queue: string, id: string, withChildren: boolean, now: number): number {
  const job = findJob(store, queue, id);
  if (job === undefined) return 0;
  if (job["scheduler_id"] !== null) throw new Refusal(BELONGS_TO_SCHEDULER);
  if (withChildren ? hasLocked(store, job, now) : isLocked(job, now)) return 0;
  const parent = parentOf(job);
  if (parent !== undefined) dropChild(store, parent, nodeKey(queue, id), now);
  return removeTree(store, queue, job, withChildren);
}

/** Returns whether a job, or a child that it waits for, is locked. */
function hasLocked(store: Store, job: Row, now: number): boolean {
  if (isLocked(job, now)) return true;
  const pending = store.all(
    "SELECT child_queue, child_id FROM child WHERE parent = ? AND status = 0",
    Number(job["pk"]),
  );
  return pending.some(({ child_queue: childQueue, child_id: childId }) => {
    const child = findJob(store, String(childQueue), String(childId));
    return child !== undefined && hasLocked(store, child, now);
  });
}

function removeTree(store: Store, queue: string, job: Row, withChildren: boolean): number {
  const id = String(job["id"]);
  const children = withChildren ? childrenOf(store, queue, id) : [];
  dropKey(store, Number(job["q"]), textOrNull(job["dedup_id"]), id);
  let removed = store.run("DELETE FROM job WHERE pk = ?", Number(job["pk"]));
  for (const child of children) removed += removeTree(store, child.queue, child.row, true);
  return removed;
}

/** Removes the children of a job that have not started, and the children of those. */
export function removeUnprocessedChildren(store: Store, queue: string, id: string): void {
  const job = findJob(store, queue, id);
  if (job === undefined) return;
  const pending = store.all(
    "SELECT child_queue, child_id, child_key FROM child WHERE parent = ? AND status = 0",
    Number(job["pk"]),
  );
  for (const { child_queue: childQueue, child_id: childId, child_key: key } of pending) {
    const child = findJob(store, String(childQueue), String(childId));
    if (child === undefined || child["lock_token"] !== null) continue;
    if ([ACTIVE, FAILED, COMPLETED].includes(Number(child["state"]))) continue;
    removeUnprocessedChildren(store, String(childQueue), String(childId));
    store.run("DELETE FROM child WHERE parent = ? AND child_key = ?", Number(job["pk"]), String(key));
    store.run(
      "UPDATE job SET pending_children = max(pending_children - 1, 0) WHERE pk = ?",
      Number(job["pk"]),
    );
    store.run("DELETE FROM job WHERE pk = ?", Number(child["pk"]));
    store.publish(String(childQueue), "removed", { jobId: String(childId), prev: "waiting" });
  }
}

/** Separates a child from its parent. Returns false if the job has no parent, or was separated from it before. */
export function removeChildDependency(store: Store, queue: string, id: string, now: number): boolean {
  const job = findJob(store, queue, id);
  if (job === undefined) throw new Refusal(MISSING_JOB);
  const parent = parentOf(job);
  if (parent === undefined) return false;
  if (findJob(store, parent.queue, parent.id) === undefined) throw new Refusal(MISSING_PARENT);
  if (!dropChild(store, parent, nodeKey(queue, id), now, false)) return false;
  store.run(
    "UPDATE job SET parent_queue = NULL, parent_id = NULL, parent_key = NULL WHERE pk = ?",
    Number(job["pk"]),
  );
  return true;
}

/** Removes jobs, and releases the parents that waited for them. */
function removeRows(store: Store, queue: string, rows: readonly Row[], now: number): void {
  const parents = new Map<string, ParentName>();
  for (const row of rows) {
    const parent = parentOf(row);
    const id = String(row["id"]);
    if (parent !== undefined) parents.set(nodeKey(parent.queue, parent.id), parent);
    store.run("DELETE FROM child WHERE child_queue = ? AND child_id = ?", queue, id);
    dropKey(store, Number(row["q"]), textOrNull(row["dedup_id"]), id);
    store.run("DELETE FROM job WHERE pk = ?", Number(row["pk"]));
  }
  for (const parent of parents.values()) recount(store, parent, queue, now);
}

/** The columns of a row that {@link removeRows} reads. */
const REMOVED_COLUMNS = "pk, q, id, dedup_id, parent_queue, parent_id";

/** Removes all waiting jobs, and delayed jobs if `delayed` is true. The runs of schedulers stay. */
export function drain(store: Store, queue: string, delayed: boolean, now: number): void {
  const q = store.find(queue);
  if (q === undefined) return;
  const states = delayed ? [WAITING, DELAYED] : [WAITING];
  for (const state of states) {
    const rows = store.all(
      `SELECT ${REMOVED_COLUMNS} FROM job WHERE q = ? AND state = ${state} AND scheduler_id IS NULL`,
      q,
    );
    removeRows(store, queue, rows, now);
  }
}

/** The jobs that `clean` removes, by BullMQ's name of their state. */
const CLEAN_CONDITIONS: Readonly<Record<string, string>> = {
  completed: `state = ${COMPLETED} AND finished <= ?`,
  failed: `state = ${FAILED} AND finished <= ?`,
  delayed: `state = ${DELAYED} AND added <= ? AND scheduler_id IS NULL`,
  prioritized: `state = ${WAITING} AND prio > 0 AND added <= ? AND scheduler_id IS NULL`,
  wait: `state = ${WAITING} AND prio = 0 AND added <= ? AND scheduler_id IS NULL`,
  active: `state = ${ACTIVE} AND added <= ? AND scheduler_id IS NULL`,
};

/** Removes the jobs of a state that are older than `before`. Returns their ids. */
export function clean(
  store: Store,
  queue: string,
  state: string,
  before: number,
  most: number,
  now: number,
): string[] {
  const q = store.find(queue);
  const condition = CLEAN_CONDITIONS[state === "waiting" || state === "paused" ? "wait" : state];
  if (q === undefined || condition === undefined) return [];
  const rows = store.all(
    `SELECT ${REMOVED_COLUMNS} FROM job WHERE q = ? AND ${condition} ORDER BY ord LIMIT ?`,
    q,
    before,
    most > 0 ? most : -1,
  );
  if (rows.length === 0) return [];
  removeRows(store, queue, rows, now);
  store.publish(queue, "cleaned", { count: String(rows.length) });
  return rows.map(({ id }) => String(id));
}

/** Removes `most` jobs of a paused queue, and in the end the queue. Returns 1 while more jobs are left, then 0. */
export function obliterate(store: Store, queue: string, most: number, force: boolean): number {
  const q = store.find(queue);
  if (q === undefined) return NOT_PAUSED;
  if (!store.isPaused(q)) return NOT_PAUSED;
  const runs = store.get(`SELECT 1 AS found FROM job WHERE q = ? AND state = ${ACTIVE} LIMIT 1`, q);
  if (!force && runs !== undefined) return HAS_ACTIVE;
  const removed = store.run("DELETE FROM job WHERE pk IN (SELECT pk FROM job WHERE q = ? LIMIT ?)", q, most);
  if (removed >= most) return 1;
  for (const table of ["scheduler", "rate_limit", "event", "metric", "dedup", "meta", "counter", "queue"])
    store.run(`DELETE FROM ${table} WHERE q = ?`, q);
  store.forgetCaches();
  return 0;
}
