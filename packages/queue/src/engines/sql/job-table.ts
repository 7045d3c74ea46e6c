import { randomUUID } from "node:crypto";
import { TAG } from "../../wire/format.ts";
import { rowsInOrder, countedAttempts } from "../../contract/job-record.ts";
import { CANCEL_FLAG, SEAL_FLAG, sealOf } from "../../contract/cancellation.ts";
import type { CancelAnswer, SealAnswer } from "../../contract/cancellation.ts";
import type { StoredJob } from "../../contract/stored-job.ts";

/** The schema in which BullMQ's PostgreSQL backend keeps its tables. */
export const schema = "bullmq";
/** How long a canceller holds a job that it claimed, in milliseconds. */
const claimLock = 2_000;

/** The part of a `pg.Pool` that statements need. */
export interface SqlPool {
  query(text: string, params?: readonly unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
}

/**
 * The same look and mark as `engines/redis/cancel-script.ts`, in one statement: row locks make it atomic. What was
 * claimed is `active` under the canceller's lock, as if a worker had taken it.
 */
const cancelStatement = `
WITH found AS (
  SELECT state, lock_token, locked_until_ms, attempts_started, scheduler_id, finished_at_ms,
      deferred_failure, processed_at_ms
    FROM ${schema}.job WHERE queue = $1 AND id = $2 FOR UPDATE
), verdict AS (
  SELECT *, CASE
      WHEN finished_at_ms IS NOT NULL THEN 'done'
      WHEN state = 'active' AND locked_until_ms > $5::bigint
        AND deferred_failure = '${SEAL_FLAG}' || lock_token || '#' || attempts_started THEN 'sealed'
      WHEN state = 'active' AND lock_token IS NOT NULL AND locked_until_ms > $5::bigint THEN 'running'
      WHEN scheduler_id IS NULL AND state IN ('waiting', 'delayed', 'active') THEN 'claimed'
      ELSE 'flagged' END AS kind
    FROM found
), marked AS (
  UPDATE ${schema}.job SET
      deferred_failure = $3,
      state = CASE WHEN kind = 'claimed' THEN 'active' ELSE job.state END,
      lock_token = CASE WHEN kind = 'claimed' THEN $4 ELSE job.lock_token END,
      locked_until_ms = CASE WHEN kind = 'claimed' THEN $5::bigint + ${claimLock} ELSE job.locked_until_ms END
    FROM verdict WHERE queue = $1 AND id = $2 AND kind NOT IN ('done', 'sealed')
)
SELECT kind, lock_token, attempts_started, processed_at_ms::float8 FROM verdict`;

/** The same seal as `engines/redis/cancel-script.ts`; what it did not mark tells why. */
const sealStatement = `
WITH sealed AS (
  UPDATE ${schema}.job SET deferred_failure = $4
    WHERE queue = $1 AND id = $2 AND state = 'active' AND lock_token = $3
      AND COALESCE(deferred_failure, '') NOT LIKE '${CANCEL_FLAG}%'
    RETURNING 1
)
SELECT EXISTS (SELECT 1 FROM sealed) AS sealed, lock_token, deferred_failure
  FROM ${schema}.job WHERE queue = $1 AND id = $2`;

export async function sealRun(
  pool: SqlPool,
  queue: string,
  id: string,
  token: string,
  attemptsStarted: number,
): Promise<SealAnswer> {
  const { rows } = await pool.query(sealStatement, [queue, id, token, sealOf(token, attemptsStarted)]);
  const row = rows[0];
  if (row?.["sealed"] === true) return { kind: "sealed" };
  const flag = row?.["deferred_failure"];
  // A look of the same moment as the mark: it can miss a cancel that the mark waited for, and then says nothing yet.
  if (row?.["lock_token"] === token && typeof flag === "string" && flag.startsWith(CANCEL_FLAG))
    return { kind: "cancelled", reason: flag.slice(CANCEL_FLAG.length) };
  if (row?.["lock_token"] === token) return await sealRun(pool, queue, id, token, attemptsStarted);
  return { kind: "lost" };
}

/** What {@link markCancelled} found, and for a running job, which run it is. */
export interface CancelMark {
  readonly answer: CancelAnswer;
  readonly run:
    | {
        readonly workerId: string;
        readonly token: string;
        readonly attemptsStarted: number;
        readonly startedAt: number;
      }
    | undefined;
}

/** {@link Engine.cancel} on BullMQ's job table. */
export async function markCancelled(
  pool: SqlPool,
  queue: string,
  id: string,
  reason: string,
): Promise<CancelMark> {
  const token = `canceller-${randomUUID()}:0`;
  const { rows } = await pool.query(cancelStatement, [
    queue,
    id,
    `${CANCEL_FLAG}${reason}`,
    token,
    Date.now(),
  ]);
  const row = rows[0] as
    | { kind: string; lock_token: string | null; attempts_started: number; processed_at_ms: number | null }
    | undefined;
  switch (row?.kind) {
    case undefined:
      return { answer: { kind: "gone" }, run: undefined };
    case "done":
      return { answer: { kind: "done" }, run: undefined };
    case "sealed":
      return { answer: { kind: "sealed" }, run: undefined };
    case "claimed":
      return { answer: { kind: "claimed", token }, run: undefined };
    case "running": {
      const lock = (row as { lock_token: string }).lock_token;
      const workerId = lock.replace(/:\d+$/, "");
      return {
        answer: { kind: "running" },
        run: {
          workerId,
          token: lock,
          attemptsStarted: row?.attempts_started ?? 0,
          startedAt: row?.processed_at_ms ?? 0,
        },
      };
    }
    default:
      return { answer: { kind: "running" }, run: undefined };
  }
}

/** How many of a queue's completed jobs were cancelled. */
export async function countCancelled(pool: SqlPool, queue: string): Promise<number> {
  const { rows } = await pool.query(
    `SELECT count(*) AS cancelled FROM ${schema}.job
      WHERE queue = $1 AND state = 'completed' AND return_value ->> '${TAG}' = 'cancelled'`,
    [queue],
  );
  return Number(rows[0]?.["cancelled"] ?? 0);
}

/** Looks at what BullMQ's job table has of many jobs, in one query. */
export async function lookAtJobs(pool: SqlPool, queue: string, ids: readonly string[]): Promise<StoredJob[]> {
  const { rows } = await pool.query(
    `SELECT id, state, return_value, failed_reason, stacktrace, attempts_made, attempts_started, progress FROM ${schema}.job WHERE queue = $1 AND id = ANY($2)`,
    [queue, [...ids]],
  );
  return rowsInOrder(ids, rows, (row): StoredJob => {
    if (row === undefined) return { kind: "missing" };
    if (row["state"] !== "completed" && row["state"] !== "failed") return { kind: "pending" };
    return {
      kind: "finished",
      attempts: countedAttempts(Number(row["attempts_made"] ?? 0), Number(row["attempts_started"] ?? 0)),
      progress: row["progress"],
      record: {
        failed: row["state"] === "failed",
        returnvalue: row["return_value"],
        failedReason: (row["failed_reason"] as string | null) ?? undefined,
        stacktrace: (row["stacktrace"] as string[] | null) ?? [],
      },
    };
  });
}
