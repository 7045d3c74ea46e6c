import type { JobJson } from "bullmq";
import { ACTIVE, DELAYED, WAITING } from "../schema/states.ts";
import type { Row, Store } from "../store/store.ts";
import { jobJson } from "./job-json.ts";

/** The terms on which a worker takes a job. */
export interface Claim {
  readonly token: string;
  /** Milliseconds. */
  readonly lockDuration: number;
  readonly now: number;
  readonly workerName: string | null;
  readonly limiterMax: number | null;
  /** Milliseconds. */
  readonly limiterDuration: number | null;
}

/** BullMQ's answer: the job and its id, or the delay of the rate limit and the time of the next delayed job. */
export type Claimed = [job: JobJson | null, id: string, rateLimitDelay: number, delayUntil: number];

/** The answer to a claim of several jobs. */
export interface ClaimedJobs {
  readonly jobs: readonly JobJson[];
  /** Milliseconds; 0 without a rate limit. */
  readonly limitedFor: number;
  /** When the next delayed job is due; 0 if there is none, or if the claim took as many jobs as it asked for. */
  readonly nextDue: number;
}

/** Returns whether an answer ends a worker's wait. The time of the next delayed job alone does not end it. */
export function endsWait([job, , rateLimitDelay]: Claimed): boolean {
  return job !== null || rateLimitDelay > 0;
}

/** Takes the next job of a queue, if the queue has one and its limits let it run. */
export function moveToActive(store: Store, queue: string, claim: Claim): Claimed {
  const q = store.find(queue);
  if (q === undefined) return [null, "", 0, 0];
  const { now, limiterMax } = claim;
  promoteDue(store, queue, q, now);
  const max = store.metaNumber(q, "max") ?? limiterMax;
  const isOpen = !store.isPaused(q) && !isMaxed(store, q);
  const limit = max === null ? 0 : limitedFor(store, q, max, now);
  if (isOpen && limit === 0) {
    const [next] = store.all(NEXT, q, 1);
    if (next !== undefined) {
      const duration = claim.limiterDuration ?? store.metaNumber(q, "duration");
      if (max !== null && duration !== undefined) consume(store, q, duration, now);
      const job = activate(store, queue, next, claim);
      return [job, job.id, 0, 0];
    }
  }
  if (limit > 0) return [null, "", limit, 0];
  return [null, "", 0, nextDue(store, q) ?? 0];
}

/** Takes up to `most` jobs of a queue, as so many calls of {@link moveToActive} would. */
export function claimAll(store: Store, queue: string, claim: Claim, most: number): ClaimedJobs {
  const q = store.find(queue);
  if (q === undefined) return { jobs: [], limitedFor: 0, nextDue: 0 };
  const isLimited =
    claim.limiterMax !== null ||
    store.metaNumber(q, "max") !== undefined ||
    store.metaNumber(q, "concurrency") !== undefined;
  if (isLimited) return claimSingly(store, queue, claim, most);
  promoteDue(store, queue, q, claim.now);
  const rows = store.isPaused(q) ? [] : store.all(NEXT, q, most);
  const jobs = rows.map((row) => activate(store, queue, row, claim));
  return { jobs, limitedFor: 0, nextDue: jobs.length < most ? (nextDue(store, q) ?? 0) : 0 };
}

/** The jobs of a queue with limits, each of which changes the limits for the next one. */
function claimSingly(store: Store, queue: string, claim: Claim, most: number): ClaimedJobs {
  const jobs: JobJson[] = [];
  while (jobs.length < most) {
    const [job, , limit, due] = moveToActive(store, queue, claim);
    if (job === null) return { jobs, limitedFor: limit, nextDue: due };
    jobs.push(job);
  }
  return { jobs, limitedFor: 0, nextDue: 0 };
}

/**
 * Returns the answer to a claim that finds nothing, without a transaction: readers of a write-ahead log do not wait for
 * writers. Returns undefined if the queue may have a job to run, or a rate limit lets none run now.
 */
export function hasNothing(store: Store, queue: string, { now, limiterMax }: Claim): Claimed | undefined {
  const q = store.find(queue);
  if (q === undefined) return [null, "", 0, 0];
  const max = store.metaNumber(q, "max") ?? limiterMax;
  if (max !== null && limitedFor(store, q, max, now) > 0) return undefined;
  const isWaiting = store.get("SELECT 1 FROM job WHERE q = ? AND state = 0 LIMIT 1", q) !== undefined;
  if (isWaiting && !store.isPaused(q) && !isMaxed(store, q)) return undefined;
  const due = nextDue(store, q) ?? 0;
  return due > 0 && due <= now ? undefined : [null, "", 0, due];
}

/** Sets the token of a claimed job's lock to that of its run, which is known only after the claim. */
export function renameLock(store: Store, queue: string, id: string, from: string, to: string): void {
  const q = store.find(queue);
  if (q === undefined) return;
  store.run("UPDATE job SET lock_token = ? WHERE q = ? AND id = ? AND lock_token = ?", to, q, id, from);
}

/** Takes back a claim that reached no worker: the job waits in its place, as if it had never been claimed. */
export function undoClaim(store: Store, queue: string, id: string, token: string): void {
  const q = store.find(queue);
  if (q === undefined) return;
  const changed = store.run(
    `UPDATE job SET state = ${WAITING}, lock_token = NULL, locked_until = NULL, owner = NULL, processed = NULL, processed_by = NULL, attempts_started = attempts_started - 1 WHERE q = ? AND id = ? AND state = ${ACTIVE} AND lock_token = ?`,
    q,
    id,
    token,
  );
  if (changed === 0) return;
  store.publish(queue, "waiting", { jobId: id, prev: "active" });
  store.wake(queue);
}

/** The limit is an expression: with a bare parameter SQLite compiles the statement anew at each run, which costs 15 µs. */
const NEXT = `SELECT * FROM job WHERE q = ? AND state = ${WAITING} ORDER BY prio, ord LIMIT ? + 0`;
const ACTIVATE = `UPDATE job SET state = ${ACTIVE}, lock_token = ?, locked_until = ?, owner = ?, processed = ?, processed_by = ?, attempts_started = ? WHERE pk = ?`;

/**
 * Lets a waiting job run, and returns it as its worker receives it. The row is read before: a statement that returns the rows
 * that it updates costs several times as much, because SQLite collects them in a table of their own.
 */
function activate(store: Store, queue: string, row: Row, claim: Claim): JobJson {
  const { token, now, lockDuration, workerName } = claim;
  const attempts = Number(row["attempts_started"]) + 1;
  store.run(ACTIVATE, token, now + lockDuration, store.owner, now, workerName, attempts, Number(row["pk"]));
  Object.assign(row, { processed: now, processed_by: workerName, attempts_started: attempts });
  const job = jobJson(row);
  store.publish(queue, "active", { jobId: job.id, prev: "waiting" });
  return job;
}

/** Lets delayed jobs wait whose time has come, in the place that they had when they were added. */
export function promoteDue(store: Store, queue: string, q: number, now: number): void {
  const due = store.all(
    `UPDATE job SET state = ${WAITING}, delay = 0 WHERE q = ? AND state = 4 AND due <= ? RETURNING id`,
    q,
    now,
  );
  for (const { id } of due) store.publish(queue, "waiting", { jobId: String(id), prev: "delayed" });
}

/** Returns the time of the next delayed job. */
export function nextDue(store: Store, q: number): number | undefined {
  const due = store.get(`SELECT min(due) AS due FROM job WHERE q = ? AND state = ${DELAYED}`, q)?.["due"];
  return due === null || due === undefined ? undefined : Number(due);
}

/** Returns whether as many jobs run as the queue's global concurrency allows. */
export function isMaxed(store: Store, q: number): boolean {
  const most = store.metaNumber(q, "concurrency");
  return most !== undefined && count(store, q, ACTIVE) >= most;
}

/** Returns the number of jobs of one kind. */
export function count(store: Store, q: number, kind: number): number {
  return Number(store.get("SELECT n FROM counter WHERE q = ? AND kind = ?", q, kind)?.["n"] ?? 0);
}

/** Returns the milliseconds until the rate limit lets a job run; 0 if it does now. */
export function limitedFor(store: Store, q: number, max: number, now: number): number {
  const row = store.get("SELECT points, expires FROM rate_limit WHERE q = ?", q);
  if (row === undefined || Number(row["expires"]) <= now || Number(row["points"]) < max) return 0;
  return Number(row["expires"]) - now;
}

function consume(store: Store, q: number, duration: number, now: number): void {
  store.run(
    `INSERT INTO rate_limit (q, points, expires) VALUES (?, 1, ?) ON CONFLICT DO UPDATE SET
      points = CASE WHEN expires <= ? THEN 1 ELSE points + 1 END,
      expires = CASE WHEN expires <= ? THEN excluded.expires ELSE expires END`,
    q,
    now + duration,
    now,
    now,
  );
}
