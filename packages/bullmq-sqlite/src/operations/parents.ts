import {
  COMPLETED,
  DELAYED,
  FAILED_CHILD,
  IGNORED_CHILD,
  PENDING_CHILD,
  PROCESSED_CHILD,
  WAITING,
  WAITING_CHILDREN,
} from "../schema/states.ts";
import type { Row, Store } from "../store/store.ts";

/** The name of a parent in the rows of its children. */
export interface ParentName {
  readonly queue: string;
  readonly id: string;
}

/** Returns the key by which BullMQ names a job of any queue. */
export function nodeKey(queue: string, id: string): string {
  return `${queue}:${id}`;
}

export function parentOf(row: Row): ParentName | undefined {
  const { parent_queue: queue, parent_id: id } = row;
  return queue === null || id === null || queue === undefined || id === undefined
    ? undefined
    : { queue: String(queue), id: String(id) };
}

/** Returns a job's row; undefined if the job does not exist. */
export function findJob(store: Store, queue: string, id: string): Row | undefined {
  const q = store.find(queue);
  return q === undefined ? undefined : store.get("SELECT * FROM job WHERE q = ? AND id = ?", q, id);
}

/** Records a child with its parent. Returns false if it was recorded before. */
export function linkChild(
  store: Store,
  parent: Row,
  queue: string,
  id: string,
  status: number = PENDING_CHILD,
  value: string | null = null,
): boolean {
  const pk = Number(parent["pk"]);
  const added = store.run(
    "INSERT INTO child (parent, child_queue, child_id, child_key, status, value) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    pk,
    queue,
    id,
    nodeKey(queue, id),
    status,
    value,
  );
  if (added > 0 && status === PENDING_CHILD)
    store.run("UPDATE job SET pending_children = pending_children + 1 WHERE pk = ?", pk);
  return added > 0;
}

/** Lets a parent run whose children have all ended. */
export function releaseParent(store: Store, { queue, id }: ParentName, now: number): void {
  const parent = findJob(store, queue, id);
  if (parent === undefined || parent["state"] !== WAITING_CHILDREN) return;
  const delay = Number(parent["delay"]);
  const pk = Number(parent["pk"]);
  if (delay > 0) {
    store.run(
      "UPDATE job SET state = ?, due = ?, ord = ? WHERE pk = ?",
      DELAYED,
      now + delay,
      store.nextOrd(),
      pk,
    );
    store.publish(queue, "delayed", { jobId: id, delay: now + delay });
  } else {
    store.run("UPDATE job SET state = ?, ord = ? WHERE pk = ?", WAITING, store.nextOrd(), pk);
    store.publish(queue, "waiting", { jobId: id, prev: "waiting-children" });
  }
  store.wake(queue);
}

/** Counts one pending child less. Releases the parent after its last child, or at once. */
function countDown(store: Store, parent: ParentName, now: number, atOnce = false): void {
  const row = findJob(store, parent.queue, parent.id);
  if (row === undefined) return;
  const left = Math.max(Number(row["pending_children"]) - 1, 0);
  store.run("UPDATE job SET pending_children = ? WHERE pk = ?", left, Number(row["pk"]));
  if (left === 0 || atOnce) releaseParent(store, parent, now);
}

/** Stores a completed child's value with its parent. */
export function childCompleted(
  store: Store,
  parent: ParentName,
  key: string,
  value: string,
  now: number,
): void {
  const row = findJob(store, parent.queue, parent.id);
  if (row === undefined) return;
  store.run(
    "UPDATE child SET status = ?, value = ? WHERE parent = ? AND child_key = ?",
    PROCESSED_CHILD,
    value,
    Number(row["pk"]),
    key,
  );
  countDown(store, parent, now);
}

interface FailureOptions {
  readonly failParentOnFailure?: boolean;
  readonly continueParentOnFailure?: boolean;
  readonly ignoreDependencyOnFailure?: boolean;
  readonly removeDependencyOnFailure?: boolean;
}

/** Applies the options of a failed child to its parent. */
export function childFailed(store: Store, child: Row, key: string, reason: string, now: number): void {
  const parent = parentOf(child);
  const row = parent === undefined ? undefined : findJob(store, parent.queue, parent.id);
  if (parent === undefined || row === undefined) return;
  const pk = Number(row["pk"]);
  const options = JSON.parse(String(child["opts"])) as FailureOptions;
  const mark = (status: number): boolean =>
    store.run(
      "UPDATE child SET status = ?, value = ? WHERE parent = ? AND child_key = ? AND status = 0",
      status,
      JSON.stringify(reason),
      pk,
      key,
    ) > 0;
  if (options.failParentOnFailure === true) {
    if (!mark(FAILED_CHILD)) return;
    store.run("UPDATE job SET deferred_failure = ? WHERE pk = ?", `child ${key} failed`, pk);
    countDown(store, parent, now, true);
  } else if (options.continueParentOnFailure === true) {
    if (mark(IGNORED_CHILD)) countDown(store, parent, now, true);
  } else if (options.ignoreDependencyOnFailure === true) {
    if (mark(IGNORED_CHILD)) countDown(store, parent, now);
  } else if (options.removeDependencyOnFailure === true) {
    dropChild(store, parent, key, now);
  }
}

/** Removes a child from its parent, which no longer waits for it. Returns whether the parent had the child. */
export function dropChild(
  store: Store,
  parent: ParentName,
  key: string,
  now: number,
  pendingOnly = true,
): boolean {
  const row = findJob(store, parent.queue, parent.id);
  if (row === undefined) return false;
  const condition = pendingOnly ? " AND status = 0" : "";
  const dropped = store.run(
    `DELETE FROM child WHERE parent = ? AND child_key = ?${condition}`,
    Number(row["pk"]),
    key,
  );
  if (dropped > 0) countDown(store, parent, now);
  return dropped > 0;
}

/** Lets the parent of a retried job wait for it once more, if the parent had its outcome. */
export function childRetried(store: Store, queue: string, child: Row): void {
  const parent = parentOf(child);
  const row = parent === undefined ? undefined : findJob(store, parent.queue, parent.id);
  if (row === undefined) return;
  const id = String(child["id"]);
  const outcomes = child["state"] === COMPLETED ? [PROCESSED_CHILD] : [FAILED_CHILD, IGNORED_CHILD];
  const had = store.run(
    `DELETE FROM child WHERE parent = ? AND child_key = ? AND status IN (${outcomes.join(", ")})`,
    Number(row["pk"]),
    nodeKey(queue, id),
  );
  if (had > 0) linkChild(store, row, queue, id);
}

/**
 * Handles the addition of a job that exists. The job becomes the child of its new parent. Returns false if it has another
 * parent that still exists.
 */
export function adopt(
  store: Store,
  queue: string,
  id: string,
  parent: (ParentName & { readonly key: string | null }) | undefined,
  now: number,
  releaseLater = false,
): boolean {
  if (parent === undefined) {
    store.publish(queue, "duplicated", { jobId: id });
    return true;
  }
  const job = findJob(store, queue, id)!;
  const before = parentOf(job);
  const isOthers =
    before !== undefined &&
    (before.queue !== parent.queue || before.id !== parent.id) &&
    findJob(store, before.queue, before.id) !== undefined;
  if (isOthers) return false;
  const row = findJob(store, parent.queue, parent.id)!;
  if (job["state"] === COMPLETED) {
    const value = job["return_value"] === null ? null : String(job["return_value"]);
    if (!linkChild(store, row, queue, id, PROCESSED_CHILD, value)) {
      store.run(
        "UPDATE child SET status = ?, value = ? WHERE parent = ? AND child_key = ?",
        PROCESSED_CHILD,
        value,
        Number(row["pk"]),
        nodeKey(queue, id),
      );
    }
    if (!releaseLater && Number(row["pending_children"]) === 0) releaseParent(store, parent, now);
  } else {
    linkChild(store, row, queue, id);
  }
  store.run(
    "UPDATE job SET parent_queue = ?, parent_id = ?, parent_key = ? WHERE pk = ?",
    parent.queue,
    parent.id,
    parent.key,
    Number(job["pk"]),
  );
  store.publish(queue, "duplicated", { jobId: id });
  return true;
}

/** Counts the pending children of a parent after several children were removed, and releases it after the last one. */
export function recount(store: Store, parent: ParentName, removedFrom: string, now: number): void {
  const row = findJob(store, parent.queue, parent.id);
  if (row === undefined) return;
  const pk = Number(row["pk"]);
  const left = Number(
    store.get("SELECT count(*) AS n FROM child WHERE parent = ? AND status = 0", pk)?.["n"],
  );
  store.run("UPDATE job SET pending_children = ? WHERE pk = ?", left, pk);
  if (left > 0 || row["state"] !== WAITING_CHILDREN) return;
  // BullMQ removes a parent of the same queue with its last child, and runs one of another queue.
  if (parent.queue === removedFrom) store.run("DELETE FROM job WHERE pk = ?", pk);
  else releaseParent(store, parent, now);
}
