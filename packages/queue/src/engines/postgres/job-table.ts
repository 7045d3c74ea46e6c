import { SCHEMA } from "./schema.ts";
import { TAG } from "../../wire/format.ts";
import {
  CANCELLER_LOCK_MS,
  CANCEL_FLAG,
  SEAL_FLAG,
  cancellerToken,
  sealOf,
} from "../../contract/cancellation.ts";
import type { SealAnswer } from "../../contract/cancellation.ts";
import type { StoredJob } from "../../contract/stored-job.ts";
import { cancelMark, refusedSeal } from "../sql/cancel-row.ts";
import type { CancelMark } from "../sql/cancel-row.ts";
import { endedJobOfRow, rowsInOrder } from "../sql/rows.ts";
import type { Row } from "../sql/rows.ts";

/** The part of a `pg.Pool` that statements need. */
export interface SqlPool {
  query(text: string, params?: readonly unknown[]): Promise<{ rows: Row[] }>;
}

/**
 * The verdict and the mark of `engines/redis/cancel-script.ts` in one statement, which row locks make atomic. A claimed
 * job is `active` under the canceller's lock, as if a worker had taken it.
 */
const CANCEL = `
WITH found AS (
  SELECT state, lock_token, locked_until_ms, attempts_started, scheduler_id, finished_at_ms,
      deferred_failure, processed_at_ms
    FROM ${SCHEMA}.job WHERE queue = $1 AND id = $2 FOR UPDATE
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
  UPDATE ${SCHEMA}.job SET
      deferred_failure = $3,
      state = CASE WHEN kind = 'claimed' THEN 'active' ELSE job.state END,
      lock_token = CASE WHEN kind = 'claimed' THEN $4 ELSE job.lock_token END,
      locked_until_ms = CASE WHEN kind = 'claimed' THEN $5::bigint + ${CANCELLER_LOCK_MS} ELSE job.locked_until_ms END
    FROM verdict WHERE queue = $1 AND id = $2 AND kind NOT IN ('done', 'sealed')
)
SELECT kind, lock_token, attempts_started, processed_at_ms::float8 AS processed FROM verdict`;

/** The seal of `engines/redis/cancel-script.ts`, and the fields that say why a run was not sealed. */
const SEAL = `
WITH sealed AS (
  UPDATE ${SCHEMA}.job SET deferred_failure = $4
    WHERE queue = $1 AND id = $2 AND state = 'active' AND lock_token = $3
      AND COALESCE(deferred_failure, '') NOT LIKE '${CANCEL_FLAG}%'
    RETURNING 1
)
SELECT EXISTS (SELECT 1 FROM sealed) AS sealed, lock_token, deferred_failure
  FROM ${SCHEMA}.job WHERE queue = $1 AND id = $2`;

/** Seals a run, so that no later cancel of the run is accepted. */
export async function sealRun(
  pool: SqlPool,
  laneName: string,
  id: string,
  token: string,
  attemptsStarted: number,
): Promise<SealAnswer> {
  for (;;) {
    const { rows } = await pool.query(SEAL, [laneName, id, token, sealOf(token, attemptsStarted)]);
    const [row] = rows;
    if (row?.["sealed"] === true) return { kind: "sealed" };
    const refusal = refusedSeal(row, token);
    if (refusal !== undefined) return refusal;
    // The statement reads the row as it was before it waited for a cancel to commit. The next one sees the cancel.
  }
}

/** Marks a job as cancelled, or takes it for its canceller. */
export async function markCancelled(
  pool: SqlPool,
  laneName: string,
  id: string,
  reason: string,
): Promise<CancelMark> {
  const token = cancellerToken();
  const params = [laneName, id, `${CANCEL_FLAG}${reason}`, token, Date.now()];
  const { rows } = await pool.query(CANCEL, params);
  return cancelMark(rows[0], id, token, reason);
}

/** Returns the number of a lane's completed jobs that were cancelled. */
export async function countCancelled(pool: SqlPool, laneName: string): Promise<number> {
  const { rows } = await pool.query(
    `SELECT count(*) AS cancelled FROM ${SCHEMA}.job
      WHERE queue = $1 AND state = 'completed' AND return_value ->> '${TAG}' = 'cancelled'`,
    [laneName],
  );
  return Number(rows[0]?.["cancelled"] ?? 0);
}

/** {@link Engine.lookup} on BullMQ's job table. */
export async function lookupJobs(
  pool: SqlPool,
  laneName: string,
  ids: readonly string[],
): Promise<StoredJob[]> {
  const { rows } = await pool.query(
    `SELECT id, state, return_value, failed_reason, stacktrace, attempts_made, attempts_started, progress
      FROM ${SCHEMA}.job WHERE queue = $1 AND id = ANY($2)`,
    [laneName, [...ids]],
  );
  return rowsInOrder(ids, rows, (row): StoredJob => {
    if (row === undefined) return { kind: "missing" };
    const isFailed = row["state"] === "failed";
    if (!isFailed && row["state"] !== "completed") return { kind: "pending" };
    return endedJobOfRow(row, isFailed, (parsedByDriver) => parsedByDriver);
  });
}
