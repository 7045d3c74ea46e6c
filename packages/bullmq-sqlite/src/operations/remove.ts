import { ACTIVE, COMPLETED, DELAYED, FAILED, WAITING } from "../schema/states.ts";
import { Refusal } from "../store/store.ts";
import type { Row, Store } from "../store/store.ts";
import { forgetKey } from "./deduplicate.ts";
import { dropChild, findJob, nodeKey, parentOf, recount } from "./parents.ts";
import type { ParentName } from "./parents.ts";

const MISSING_JOB = -1;
const MISSING_PARENT = -5;
const BELONGS_TO_SCHEDULER = -8;
const NOT_PAUSED = -1;
const HAS_ACTIVE = -2;

const isLocked = (job: Row, now: number): boolean =>
  job["lock_token"] !== null && Number(job["locked_until"]) > now;

function textOrNull(value: Row[string] | undefined): string | null {
  return value === null || value === undefined ? null : String(value);
}

/** The children of a job that are there, by the rows that name it as their parent. */
function childrenOf(store: Store, queue: string, id: string): { queue: string; row: Row }[] {
  return store
    .all(
      "SELECT job.*, queue.name AS queue_name FROM job JOIN queue USING (q) WHERE parent_queue = ? AND parent_id = ?",
      queue,
      id,
    )
    .map((row) => ({ queue: String(row["queue_name"]), row }));
}

/** Removes a job, with its children if so told. Returns how many; 0 when the job, or a child, is locked or gone. */
export function remove(store: Store, queue: string, id: string, withChildren: boolean, now: number): number {
  const job = findJob(store, queue, id);
  if (job === undefined) return 0;
  if (job["scheduler_id"] !== null) throw new Refusal(BELONGS_TO_SCHEDULER);
  if (withChildren ? hasLocked(store, job, now) : isLocked(job, now)) return 0;
  const parent = parentOf(job);
  if (parent !== undefined) dropChild(store, parent, nodeKey(queue, id), now);
  return removeTree(store, queue, job, withChildren);
}

/** Whether a job, or a child that it waits for, is locked. */
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
  forgetKey(store, Number(job["q"]), textOrNull(job["dedup_id"]), id);
  let removed = store.run("DELETE FROM job WHERE pk = ?", Number(job["pk"]));
  for (const child of children) removed += removeTree(store, child.queue, child.row, true);
  return removed;
}

/** Removes the children of a job that have not begun, and their children. */
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
    store.run("DELETE FROM child WHERE parent = ? AND child_key = ?", Number(job["pk"]), key as string);
    store.run(
      "UPDATE job SET pending_children = max(pending_children - 1, 0) WHERE pk = ?",
      Number(job["pk"]),
    );
    store.run("DELETE FROM job WHERE pk = ?", Number(child["pk"]));
    store.publish(String(childQueue), "removed", { jobId: String(childId), prev: "waiting" });
  }
}

/** Cuts a child from its parent; false when it has none. */
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

/** Removes jobs, and tells the parents that waited for them. */
function removeRows(store: Store, queue: string, rows: readonly Row[], now: number): void {
  const parents = new Map<string, ParentName>();
  for (const row of rows) {
    const parent = parentOf(row);
    const id = String(row["id"]);
    if (parent !== undefined) parents.set(nodeKey(parent.queue, parent.id), parent);
    store.run("DELETE FROM child WHERE child_queue = ? AND child_id = ?", queue, id);
    forgetKey(store, Number(row["q"]), textOrNull(row["dedup_id"]), id);
    store.run("DELETE FROM job WHERE pk = ?", Number(row["pk"]));
  }
  for (const parent of parents.values()) recount(store, parent, queue, now);
}

const removable = "pk, q, id, dedup_id, parent_queue, parent_id";

/** Removes all waiting jobs, and delayed ones if so told; runs of schedulers stay. */
export function drain(store: Store, queue: string, delayed: boolean, now: number): void {
  const q = store.find(queue);
  if (q === undefined) return;
  const states = delayed ? [WAITING, DELAYED] : [WAITING];
  for (const state of states) {
    const rows = store.all(
      `SELECT ${removable} FROM job WHERE q = ? AND state = ${state} AND scheduler_id IS NULL`,
      q,
    );
    removeRows(store, queue, rows, now);
  }
}

const cleaned: Readonly<Record<string, string>> = {
  completed: `state = ${COMPLETED} AND finished <= ?`,
  failed: `state = ${FAILED} AND finished <= ?`,
  delayed: `state = ${DELAYED} AND added <= ? AND scheduler_id IS NULL`,
  prioritized: `state = ${WAITING} AND prio > 0 AND added <= ? AND scheduler_id IS NULL`,
  wait: `state = ${WAITING} AND prio = 0 AND added <= ? AND scheduler_id IS NULL`,
  active: `state = ${ACTIVE} AND added <= ? AND scheduler_id IS NULL`,
};

/** Removes jobs of a state that are older than `before`. Returns their ids. */
export function clean(
  store: Store,
  queue: string,
  state: string,
  before: number,
  most: number,
  now: number,
): string[] {
  const q = store.find(queue);
  const condition = cleaned[state === "waiting" || state === "paused" ? "wait" : state];
  if (q === undefined || condition === undefined) return [];
  const rows = store.all(
    `SELECT ${removable} FROM job WHERE q = ? AND ${condition} ORDER BY ord LIMIT ?`,
    q,
    before,
    most > 0 ? most : -1,
  );
  if (rows.length === 0) return [];
  removeRows(store, queue, rows, now);
  store.publish(queue, "cleaned", { count: String(rows.length) });
  return rows.map(({ id }) => String(id));
}

/** Removes a paused queue with all that it has, `most` jobs at a time. Returns 1 while there are more, 0 at the end. */
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
