import { ACTIVE, COMPLETED, DELAYED, FAILED, WAITING, WAITING_CHILDREN } from "../schema/states.ts";
import { Refusal } from "../store/store.ts";
import type { Store } from "../store/store.ts";
import { requireActive, requireLocked } from "./finish.ts";
import { childRetried, findJob } from "./parents.ts";
import { MISSING_JOB, NOT_IN_STATE } from "./refusals.ts";

/** The columns that a job loses with its lock. */
const UNLOCKED = "lock_token = NULL, locked_until = NULL, owner = NULL";

/** The error of a failed attempt, stored with the job until its next attempt. */
export interface AttemptFailure {
  readonly reason: string | null;
  /** JSON. */
  readonly stacktrace: string | null;
}

/** Delays an active job until `due`. */
export function moveToDelayed(
  store: Store,
  queue: string,
  id: string,
  token: string,
  due: number,
  delay: number,
  skipAttempt: boolean,
  failure: AttemptFailure,
): void {
  const job = requireActive(store, queue, id, token);
  store.run(
    `UPDATE job SET state = ${DELAYED}, due = ?, delay = ?, failed_reason = coalesce(?, failed_reason), stacktrace = coalesce(?, stacktrace), ${UNLOCKED}, attempts_made = attempts_made + ? WHERE pk = ?`,
    due,
    delay,
    failure.reason,
    failure.stacktrace,
    skipAttempt ? 0 : 1,
    Number(job["pk"]),
  );
  store.publish(queue, "delayed", { jobId: id, delay: due });
  store.wake(queue);
}

/** Lets an active job whose attempt failed wait again: behind the other jobs, or before them with `first`. */
export function retryJob(
  store: Store,
  queue: string,
  id: string,
  token: string,
  first: boolean,
  failure: AttemptFailure,
): void {
  const job = requireActive(store, queue, id, token);
  store.run(
    `UPDATE job SET state = ${WAITING}, ord = ?, due = NULL, failed_reason = coalesce(?, failed_reason), stacktrace = coalesce(?, stacktrace), ${UNLOCKED}, attempts_made = attempts_made + 1 WHERE pk = ?`,
    store.nextOrd(first),
    failure.reason,
    failure.stacktrace,
    Number(job["pk"]),
  );
  store.publish(queue, "waiting", { jobId: id, prev: "active" });
  store.wake(queue);
}

/** Lets a parent wait for its children. Returns false if no child is pending. */
export function moveToWaitingChildren(store: Store, queue: string, id: string, token: string): boolean {
  const job = requireLocked(store, queue, id, token);
  if (Number(job["pending_children"]) === 0) return false;
  store.run(`UPDATE job SET state = ${WAITING_CHILDREN}, ${UNLOCKED} WHERE pk = ?`, Number(job["pk"]));
  return true;
}

/**
 * Hands back an active job. The job waits again in its former place, so several jobs that are handed back keep their order.
 * Returns the milliseconds until the rate limit ends.
 */
export function moveActiveToWait(
  store: Store,
  queue: string,
  id: string,
  token: string,
  now: number,
): number {
  const job = findJob(store, queue, id);
  if (job === undefined) throw new Refusal(MISSING_JOB);
  if (job["state"] === ACTIVE && (token === "0" || job["lock_token"] === token)) {
    store.run(`UPDATE job SET state = ${WAITING}, ${UNLOCKED} WHERE pk = ?`, Number(job["pk"]));
    store.publish(queue, "waiting", { jobId: id, prev: "active" });
    store.wake(queue);
  }
  const expires = store.get("SELECT expires FROM rate_limit WHERE q = ?", Number(job["q"]))?.["expires"];
  return expires === undefined ? 0 : Math.max(Number(expires) - now, 0);
}

/** Retries a finished job. The stack traces of its failures stay with it. */
export function reprocessJob(
  store: Store,
  queue: string,
  id: string,
  state: "completed" | "failed",
  first: boolean,
  resetMade: boolean,
  resetStarted: boolean,
): void {
  const job = findJob(store, queue, id);
  if (job === undefined) throw new Refusal(MISSING_JOB);
  if (job["state"] !== (state === "failed" ? FAILED : COMPLETED)) throw new Refusal(NOT_IN_STATE);
  store.run(
    `UPDATE job SET state = ${WAITING}, ord = ?, due = NULL, processed = NULL, finished = NULL, return_value = NULL, failed_reason = NULL, attempts_made = ?, attempts_started = ? WHERE pk = ?`,
    store.nextOrd(first),
    resetMade ? 0 : Number(job["attempts_made"]),
    resetStarted ? 0 : Number(job["attempts_started"]),
    Number(job["pk"]),
  );
  childRetried(store, queue, job);
  store.publish(queue, "waiting", { jobId: id, prev: state });
  store.wake(queue);
}

/** Lets a delayed job wait to run at once. */
export function promote(store: Store, queue: string, id: string): void {
  const job = requireDelayed(store, queue, id);
  store.run(
    `UPDATE job SET state = ${WAITING}, due = NULL, delay = 0, ord = ? WHERE pk = ?`,
    store.nextOrd(),
    job,
  );
  store.publish(queue, "waiting", { jobId: id, prev: "delayed" });
  store.wake(queue);
}

export function changeDelay(store: Store, queue: string, id: string, delay: number, now: number): void {
  const job = requireDelayed(store, queue, id);
  store.run("UPDATE job SET delay = ?, due = ? WHERE pk = ?", delay, now + delay, job);
  store.wake(queue);
}

function requireDelayed(store: Store, queue: string, id: string): number {
  const job = findJob(store, queue, id);
  if (job === undefined) throw new Refusal(MISSING_JOB);
  if (job["state"] !== DELAYED) throw new Refusal(NOT_IN_STATE);
  return Number(job["pk"]);
}

export function changePriority(
  store: Store,
  queue: string,
  id: string,
  priority: number,
  first: boolean,
): void {
  const job = findJob(store, queue, id);
  if (job === undefined) throw new Refusal(MISSING_JOB);
  const ord = job["state"] === WAITING ? store.nextOrd(first) : Number(job["ord"]);
  store.run("UPDATE job SET prio = ?, ord = ? WHERE pk = ?", priority, ord, Number(job["pk"]));
}

/** Retries finished jobs, whose attempts are not reset. Returns the number of jobs: 0 if none is left. */
export function retryFinishedJobs(
  store: Store,
  queue: string,
  state: "completed" | "failed",
  most: number,
  before: number | null,
): number {
  const q = store.find(queue);
  if (q === undefined) return 0;
  const rows = store.all(
    `SELECT pk, id, state, parent_queue, parent_id FROM job WHERE q = ? AND state = ${state === "failed" ? FAILED : COMPLETED} AND finished <= ? ORDER BY finished LIMIT ?`,
    q,
    before ?? Number.MAX_SAFE_INTEGER,
    most,
  );
  for (const row of rows) {
    store.run(
      `UPDATE job SET state = ${WAITING}, ord = ?, finished = NULL, processed = NULL, return_value = NULL, failed_reason = NULL WHERE pk = ?`,
      store.nextOrd(),
      Number(row["pk"]),
    );
    childRetried(store, queue, row);
    store.publish(queue, "waiting", { jobId: String(row["id"]), prev: state });
  }
  if (rows.length > 0) store.wake(queue);
  return rows.length;
}

/** Lets delayed jobs wait to run at once. Returns the number of jobs: 0 if none is left. */
export function promoteJobs(store: Store, queue: string, most: number): number {
  const q = store.find(queue);
  if (q === undefined) return 0;
  const rows = store.all(
    `SELECT pk, id FROM job WHERE q = ? AND state = ${DELAYED} ORDER BY due LIMIT ?`,
    q,
    most,
  );
  for (const { pk, id } of rows) {
    store.run(
      `UPDATE job SET state = ${WAITING}, due = NULL, ord = ? WHERE pk = ?`,
      store.nextOrd(),
      Number(pk),
    );
    store.publish(queue, "waiting", { jobId: String(id), prev: "delayed" });
  }
  if (rows.length > 0) store.wake(queue);
  return rows.length;
}

/**
 * Lets active jobs wait again whose lock has lapsed. As BullMQ does, one check marks the jobs and the next check recovers
 * them. With `atOnce` the first check recovers them.
 */
export function moveStalledJobsToWait(
  store: Store,
  queue: string,
  maxStalledCount: number,
  now: number,
  interval: number,
  atOnce = false,
): string[] {
  const q = store.find(queue);
  if (q === undefined) return [];
  const last = store.metaNumber(q, "stalled-check");
  if (last !== undefined && now < last + interval) return [];
  store.setMeta(q, "stalled-check", String(now));
  const rows = store.all(
    `SELECT pk, id, stalled, scheduler_id FROM job WHERE q = ? AND state = ${ACTIVE} AND (stalled_marked = 1 OR ?) AND locked_until < ?`,
    q,
    atOnce ? 1 : 0,
    now,
  );
  for (const { pk, id, stalled, scheduler_id: scheduler } of rows) {
    const repeats =
      scheduler !== null &&
      store.get("SELECT 1 AS found FROM scheduler WHERE q = ? AND id = ?", q, String(scheduler)) !==
        undefined;
    const isTooMuch = Number(stalled) + 1 > maxStalledCount && !repeats;
    store.run(
      `UPDATE job SET state = ${WAITING}, ${UNLOCKED}, stalled_marked = 0, stalled = stalled + 1, ord = ?, deferred_failure = coalesce(?, deferred_failure) WHERE pk = ?`,
      store.nextOrd(),
      isTooMuch ? "job stalled more than allowable limit" : null,
      Number(pk),
    );
    store.publish(queue, "stalled", { jobId: String(id) });
    store.wake(queue);
  }
  store.run(`UPDATE job SET stalled_marked = 1 WHERE q = ? AND state = ${ACTIVE} AND stalled_marked = 0`, q);
  return rows.map(({ id }) => String(id));
}
