import { ACTIVE, COMPLETED, DELAYED, FAILED, WAITING } from "@taskloom/bullmq-sqlite/states";
import type { Database, Statement } from "@taskloom/bullmq-sqlite";
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

/** The number of the queue that the first parameter names. */
export const THIS_QUEUE = "(SELECT q FROM queue WHERE name = ?1)";
/** The job that the first two parameters name. */
export const THIS_JOB: string = `q = ${THIS_QUEUE} AND id = ?2`;

/** Returns the rows of one statement. */
export async function rowsOf(database: Database, statement: Statement): Promise<readonly Row[]> {
  const [result] = await database.statements([statement]);
  return result?.rows ?? [];
}

/** The verdict on a cancel; see `engines/redis/cancel-script.ts`. */
const VERDICT = `CASE
  WHEN finished IS NOT NULL THEN 'done'
  WHEN state = ${ACTIVE} AND locked_until > ?3 AND deferred_failure = '${SEAL_FLAG}' || lock_token || '#' || attempts_started THEN 'sealed'
  WHEN state = ${ACTIVE} AND lock_token IS NOT NULL AND locked_until > ?3 THEN 'running'
  WHEN scheduler_id IS NULL AND state IN (${WAITING}, ${ACTIVE}, ${DELAYED}) THEN 'claimed'
  ELSE 'flagged' END`;

const FIND_VERDICT = `SELECT ${VERDICT} AS kind, lock_token, attempts_started, processed FROM job WHERE ${THIS_JOB}`;

/** Flags a job. A claimed job is active under the canceller's lock, as if a worker had taken it. */
const MARK = `UPDATE job SET deferred_failure = ?4,
    state = CASE WHEN ${VERDICT} = 'claimed' THEN ${ACTIVE} ELSE state END,
    lock_token = CASE WHEN ${VERDICT} = 'claimed' THEN ?5 ELSE lock_token END,
    locked_until = CASE WHEN ${VERDICT} = 'claimed' THEN ?3 + ${CANCELLER_LOCK_MS} ELSE locked_until END,
    owner = CASE WHEN ${VERDICT} = 'claimed' THEN ?6 ELSE owner END
  WHERE ${THIS_JOB} AND ${VERDICT} NOT IN ('done', 'sealed')`;

/** Marks a job as cancelled, or takes it for its canceller. Both statements are one transaction. */
export async function markCancelled(
  database: Database,
  laneName: string,
  id: string,
  reason: string,
): Promise<CancelMark> {
  const token = cancellerToken();
  const now = Date.now();
  const [found] = await database.statements([
    [FIND_VERDICT, [laneName, id, now]],
    [MARK, [laneName, id, now, `${CANCEL_FLAG}${reason}`, token, database.processId]],
  ]);
  return cancelMark(found?.rows[0], id, token, reason);
}

/** Seals a run, so that no later cancel of the run is accepted. */
export async function sealRun(
  database: Database,
  laneName: string,
  id: string,
  token: string,
  attemptsStarted: number,
): Promise<SealAnswer> {
  const [marked, found] = await database.statements([
    [
      `UPDATE job SET deferred_failure = ?4 WHERE ${THIS_JOB} AND state = ${ACTIVE} AND lock_token = ?3
        AND coalesce(deferred_failure, '') NOT LIKE '${CANCEL_FLAG}%' RETURNING 1 AS sealed`,
      [laneName, id, token, sealOf(token, attemptsStarted)],
    ],
    [`SELECT lock_token, deferred_failure FROM job WHERE ${THIS_JOB}`, [laneName, id]],
  ]);
  if ((marked?.rows.length ?? 0) > 0) return { kind: "sealed" };
  return refusedSeal(found?.rows[0], token) ?? { kind: "lost" };
}

/** The stored result of a cancelled job begins with its tag, because JSON.stringify keeps the order of the keys. */
const IS_CANCELLED = `substr(return_value, 1, ${TAG.length + 16}) LIKE '{"${TAG}":"cancelled"%'`;

/** Creates the index by which cancelled jobs are counted. */
export const CREATE_CANCELLED_INDEX: string = `CREATE INDEX IF NOT EXISTS taskloom_cancelled ON job (q) WHERE state = ${COMPLETED} AND ${IS_CANCELLED}`;

/** Returns the number of a lane's completed jobs that were cancelled. */
export async function countCancelled(database: Database, laneName: string): Promise<number> {
  const [row] = await rowsOf(database, [
    `SELECT count(*) AS n FROM job WHERE q = ${THIS_QUEUE} AND state = ${COMPLETED} AND ${IS_CANCELLED}`,
    [laneName],
  ]);
  return Number(row?.["n"] ?? 0);
}

/** {@link Engine.lookup} on BullMQ's job table. */
export async function lookupJobs(
  database: Database,
  laneName: string,
  ids: readonly string[],
): Promise<StoredJob[]> {
  const rows = await rowsOf(database, [
    `SELECT id, state, return_value, failed_reason, stacktrace, attempts_made, attempts_started, progress
      FROM job WHERE q = ${THIS_QUEUE} AND id IN (SELECT value FROM json_each(?2))`,
    [laneName, JSON.stringify(ids)],
  ]);
  return rowsInOrder(ids, rows, (row): StoredJob => {
    if (row === undefined) return { kind: "missing" };
    const isFailed = row["state"] === FAILED;
    if (!isFailed && row["state"] !== COMPLETED) return { kind: "pending" };
    return endedJobOfRow(row, isFailed, parsed);
  });
}

function parsed(text: unknown): unknown {
  return typeof text === "string" ? JSON.parse(text) : null;
}
