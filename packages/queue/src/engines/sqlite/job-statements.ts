import { randomUUID } from "node:crypto";
import type { Database, Statement } from "@taskloom/bullmq-sqlite";
import { TAG } from "../../wire/format.ts";
import { CANCEL_FLAG, SEAL_FLAG, sealOf } from "../../contract/cancellation.ts";
import type { CancelAnswer, CancelRequest, SealAnswer } from "../../contract/cancellation.ts";
import type { StoredJob } from "../../contract/stored-job.ts";
import { rowsInOrder, countedAttempts } from "../../contract/job-record.ts";

/** How long a canceller holds a job that it claimed, in milliseconds. */
const claimLock = 2_000;

/** BullMQ's states as the job table stores them. */
export const stateNumbers = { waiting: 0, active: 1, completed: 2, failed: 3, delayed: 4 } as const;

/** A row as a statement returns it. */
type Row = Record<string, unknown>;

/** A job of a queue by the parameters ?1 and ?2. */
export const thisJob = "q = (SELECT q FROM queue WHERE name = ?1) AND id = ?2";

/** The first row of one statement. */
export async function firstRow(database: Database, statement: Statement): Promise<Row | undefined> {
  const [result] = await database.statements([statement]);
  return result?.rows[0];
}

/** The verdict of a cancel; see `engines/redis/cancel-script.ts`. A claimed job is active under the canceller's lock. */
const verdict = `CASE
  WHEN finished IS NOT NULL THEN 'done'
  WHEN state = 1 AND locked_until > ?3 AND deferred_failure = '${SEAL_FLAG}' || lock_token || '#' || attempts_started THEN 'sealed'
  WHEN state = 1 AND lock_token IS NOT NULL AND locked_until > ?3 THEN 'running'
  WHEN scheduler_id IS NULL AND state IN (0, 1, 4) THEN 'claimed'
  ELSE 'flagged' END`;

/** One look, and one mark of what was seen: both in one transaction. */
const cancelStatements = [
  `SELECT ${verdict} AS kind, lock_token, attempts_started, processed FROM job WHERE ${thisJob}`,
  `UPDATE job SET deferred_failure = ?4,
      state = CASE WHEN ${verdict} = 'claimed' THEN 1 ELSE state END,
      lock_token = CASE WHEN ${verdict} = 'claimed' THEN ?5 ELSE lock_token END,
      locked_until = CASE WHEN ${verdict} = 'claimed' THEN ?3 + ${claimLock} ELSE locked_until END,
      owner = CASE WHEN ${verdict} = 'claimed' THEN ?6 ELSE owner END
    WHERE ${thisJob} AND ${verdict} NOT IN ('done', 'sealed')`,
] as const;

/** What {@link markCancelled} found, and for a running job the request to its worker. */
export interface CancelMark {
  readonly answer: CancelAnswer;
  readonly request: { readonly workerId: string; readonly request: CancelRequest } | undefined;
}

/** Marks a job as cancelled, or claims it for its canceller. */
export async function markCancelled(
  database: Database,
  queue: string,
  id: string,
  reason: string,
): Promise<CancelMark> {
  const token = `canceller-${randomUUID()}:0`;
  const [look, mark] = cancelStatements;
  const now = Date.now();
  const [found] = await database.statements([
    [look, [queue, id, now]],
    [mark, [queue, id, now, `${CANCEL_FLAG}${reason}`, token, database.processId]],
  ]);
  const row = found?.rows[0] as Row | undefined;
  const answer = (kind: "gone" | "done" | "sealed" | "running"): CancelMark => ({
    answer: { kind },
    request: undefined,
  });
  switch (row?.["kind"]) {
    case undefined:
      return answer("gone");
    case "done":
    case "sealed":
      return answer(row["kind"]);
    case "claimed":
      return { answer: { kind: "claimed", token }, request: undefined };
    case "running": {
      const lock = row["lock_token"] as string;
      const run = { attemptsStarted: Number(row["attempts_started"]), startedAt: Number(row["processed"]) };
      return {
        answer: { kind: "running" },
        request: { workerId: lock.replace(/:\d+$/, ""), request: { id, token: lock, ...run, reason } },
      };
    }
    default:
      return answer("running");
  }
}

/** Seals a run, so that no later cancel of it is accepted. */
export async function sealRun(
  database: Database,
  queue: string,
  id: string,
  token: string,
  attemptsStarted: number,
): Promise<SealAnswer> {
  const [marked, found] = await database.statements([
    [
      `UPDATE job SET deferred_failure = ?4 WHERE ${thisJob} AND state = 1 AND lock_token = ?3
        AND coalesce(deferred_failure, '') NOT LIKE '${CANCEL_FLAG}%' RETURNING 1 AS sealed`,
      [queue, id, token, sealOf(token, attemptsStarted)],
    ],
    [`SELECT lock_token, deferred_failure FROM job WHERE ${thisJob}`, [queue, id]],
  ]);
  if ((marked?.rows.length ?? 0) > 0) return { kind: "sealed" };
  const row = found?.rows[0] as Row | undefined;
  const flag = row?.["deferred_failure"];
  return row?.["lock_token"] === token && typeof flag === "string" && flag.startsWith(CANCEL_FLAG)
    ? { kind: "cancelled", reason: flag.slice(CANCEL_FLAG.length) }
    : { kind: "lost" };
}

/** A stored result that says that its job was cancelled begins so: JSON.stringify keeps the order of the keys. */
const isCancelled = `substr(return_value, 1, ${TAG.length + 16}) LIKE '{"${TAG}":"cancelled"%'`;

/** The index by which cancelled jobs are counted. */
export const cancelledIndex: string = `CREATE INDEX IF NOT EXISTS taskloom_cancelled ON job (q) WHERE state = 2 AND ${isCancelled}`;

/** How many of a queue's completed jobs were cancelled. */
export async function countCancelled(database: Database, queue: string): Promise<number> {
  const row = await firstRow(database, [
    `SELECT count(*) AS n FROM job WHERE q = (SELECT q FROM queue WHERE name = ?) AND state = 2 AND ${isCancelled}`,
    [queue],
  ]);
  return Number(row?.["n"] ?? 0);
}

/** Looks at what is stored of many jobs. */
export async function lookAtJobs(
  database: Database,
  queue: string,
  ids: readonly string[],
): Promise<StoredJob[]> {
  const [result] = await database.statements([
    [
      `SELECT id, state, return_value, failed_reason, stacktrace, attempts_made, attempts_started, progress
        FROM job WHERE q = (SELECT q FROM queue WHERE name = ?) AND id IN (SELECT value FROM json_each(?))`,
      [queue, JSON.stringify(ids)],
    ],
  ]);
  return rowsInOrder(ids, result?.rows ?? [], (row): StoredJob => {
    if (row === undefined) return { kind: "missing" };
    const isFailed = row["state"] === stateNumbers.failed;
    if (!isFailed && row["state"] !== stateNumbers.completed) return { kind: "pending" };
    return {
      kind: "finished",
      attempts: countedAttempts(Number(row["attempts_made"]), Number(row["attempts_started"])),
      progress: parsed(row["progress"]),
      record: {
        failed: isFailed,
        returnvalue: parsed(row["return_value"]),
        failedReason: (row["failed_reason"] as string | null) ?? undefined,
        stacktrace: (parsed(row["stacktrace"]) as string[] | null) ?? [],
      },
    };
  });
}

function parsed(text: unknown): unknown {
  return typeof text === "string" ? (JSON.parse(text) as unknown) : null;
}
