import { ACTIVE, COMPLETED, FAILED, PRIORITIZED, WAITING } from "../schema/states.ts";
import { Refusal } from "../store/store.ts";
import type { Row, Store } from "../store/store.ts";
import { count, moveToActive } from "./claim.ts";
import type { Claim, Claimed } from "./claim.ts";
import { releaseKey } from "./deduplicate.ts";
import { collectMetrics } from "./metrics.ts";
import { childCompleted, childFailed, dropChild, findJob, nodeKey, parentOf } from "./parents.ts";
import {
  FAILED_CHILDREN,
  MISSING_JOB,
  MISSING_LOCK,
  NOT_IN_STATE,
  OTHER_LOCK,
  PENDING_CHILDREN,
} from "./refusals.ts";

/** The token with which BullMQ acts on a job without holding its lock. */
const ANY_TOKEN = "0";

/** The retention of finished jobs of one state. */
export interface Keep {
  readonly removeAll: boolean;
  /** Seconds. */
  readonly age: number | null;
  readonly count: number | null;
}

/** The end of a job's run. */
export interface End {
  readonly id: string;
  readonly token: string;
  /** Milliseconds. */
  readonly finishedOn: number;
  readonly keep: Keep;
  /** The number of minutes for which metrics are kept; undefined without metrics. */
  readonly metrics: number | undefined;
  /** The terms on which the worker takes its next job in the same step; undefined if it takes none. */
  readonly next: Claim | undefined;
}

/** Returns a job that is active under the lock of `token`. */
export function requireActive(store: Store, queue: string, id: string, token: string): Row {
  const job = findJob(store, queue, id);
  if (job === undefined) throw new Refusal(MISSING_JOB);
  if (job["state"] !== ACTIVE) throw new Refusal(NOT_IN_STATE);
  if (token !== ANY_TOKEN && job["lock_token"] !== token) throw new Refusal(OTHER_LOCK);
  return job;
}

/** Returns a job that is active under the lock of `token`, for operations that name a missing lock in their error. */
export function requireLocked(store: Store, queue: string, id: string, token: string): Row {
  const job = findJob(store, queue, id);
  if (job === undefined) throw new Refusal(MISSING_JOB);
  if (hasChildren(store, job, "= 3")) throw new Refusal(FAILED_CHILDREN);
  if (token !== ANY_TOKEN && job["lock_token"] === null) throw new Refusal(MISSING_LOCK);
  if (token !== ANY_TOKEN && job["lock_token"] !== token) throw new Refusal(OTHER_LOCK);
  if (job["state"] !== ACTIVE) throw new Refusal(NOT_IN_STATE);
  return job;
}

function hasChildren(store: Store, job: Row, status: string): boolean {
  return (
    store.get(
      `SELECT 1 AS found FROM child WHERE parent = ? AND status ${status} LIMIT 1`,
      Number(job["pk"]),
    ) !== undefined
  );
}

/** Stores a job's result, and takes the worker's next job if `end` says so. */
export function moveToCompleted(store: Store, queue: string, end: End, value: string): Claimed | undefined {
  const job = requireActive(store, queue, end.id, end.token);
  if (hasChildren(store, job, "= 0")) throw new Refusal(PENDING_CHILDREN);
  if (hasChildren(store, job, "= 3")) throw new Refusal(FAILED_CHILDREN);
  store.run(
    `UPDATE job SET state = ${COMPLETED}, return_value = ?, finished = ?, lock_token = NULL, locked_until = NULL, owner = NULL, attempts_made = attempts_made + 1 WHERE pk = ?`,
    value,
    end.finishedOn,
    Number(job["pk"]),
  );
  store.publish(queue, "completed", { jobId: end.id, returnvalue: value, prev: "active" });
  const parent = parentOf(job);
  if (parent !== undefined) childCompleted(store, parent, nodeKey(queue, end.id), value, end.finishedOn);
  return afterEnd(store, queue, job, end, COMPLETED);
}

/** Stores a job's final failure, and takes the worker's next job if `end` says so. */
export function moveToFailed(
  store: Store,
  queue: string,
  end: End,
  reason: string,
  stacktrace: string | null,
): Claimed | undefined {
  const job = requireActive(store, queue, end.id, end.token);
  store.run(
    `UPDATE job SET state = ${FAILED}, failed_reason = ?, stacktrace = coalesce(?, stacktrace), finished = ?, lock_token = NULL, locked_until = NULL, owner = NULL, deferred_failure = NULL, attempts_made = attempts_made + 1 WHERE pk = ?`,
    reason,
    stacktrace,
    end.finishedOn,
    Number(job["pk"]),
  );
  store.publish(queue, "failed", { jobId: end.id, failedReason: reason, prev: "active" });
  store.publish(queue, "retries-exhausted", {
    jobId: end.id,
    attemptsMade: Number(job["attempts_made"]) + 1,
  });
  childFailed(store, job, nodeKey(queue, end.id), reason, end.finishedOn);
  return afterEnd(store, queue, job, end, FAILED);
}

function afterEnd(store: Store, queue: string, job: Row, end: End, state: number): Claimed | undefined {
  const q = Number(job["q"]);
  const { finishedOn: now, keep, metrics, next } = end;
  if (keep.removeAll) remove(store, queue, job, now);
  else retain(store, q, state, keep, now);
  releaseKey(store, queue, job["dedup_id"] === null ? null : String(job["dedup_id"]), end.id, now);
  if (metrics !== undefined)
    collectMetrics(store, q, state === COMPLETED ? "completed" : "failed", metrics, now);
  publishIfIdle(store, queue, q);
  const claimed = next === undefined ? undefined : moveToActive(store, queue, next);
  // A queue whose concurrency is limited has room for a worker that waits.
  if (store.metaNumber(q, "concurrency") !== undefined) store.wake(queue);
  return claimed;
}

/** Publishes that a queue is drained if no job of it is active or can run. */
export function publishIfIdle(store: Store, queue: string, q: number): void {
  const isIdle =
    count(store, q, ACTIVE) === 0 &&
    (store.isPaused(q) || count(store, q, WAITING) + count(store, q, PRIORITIZED) === 0);
  if (isIdle) store.publish(queue, "drained");
}

function remove(store: Store, queue: string, job: Row, now: number): void {
  const parent = parentOf(job);
  if (parent !== undefined) dropChild(store, parent, nodeKey(queue, String(job["id"])), now);
  store.run("DELETE FROM job WHERE pk = ?", Number(job["pk"]));
}

/** Removes the jobs of a state that are older or more than the retention of a job allows that ended at `now`. */
export function retain(
  store: Store,
  q: number,
  state: number,
  { age, count: most }: Keep,
  now: number,
): void {
  if (age !== null && age >= 0)
    store.run(`DELETE FROM job WHERE q = ? AND state = ${state} AND finished <= ?`, q, now - age * 1000);
  if (most !== null && most >= 0) {
    store.run(
      `DELETE FROM job WHERE pk IN (SELECT pk FROM job WHERE q = ? AND state = ${state} ORDER BY finished DESC, ord DESC LIMIT -1 OFFSET ?)`,
      q,
      most,
    );
  }
}
