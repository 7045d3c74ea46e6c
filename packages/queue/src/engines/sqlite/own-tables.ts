import { COMPLETED, FAILED } from "@taskloom/bullmq-sqlite/states";
import type { Database, Statement } from "@taskloom/bullmq-sqlite";
import type { TaskLane } from "../../contract/lane.ts";
import { DEFAULT_KEEP } from "../../contract/retention.ts";
import type { JobEnd } from "../../contract/retention.ts";
import { LANE_CLAIM_MS, MAX_REMOVED } from "../../contract/engine.ts";
import type { KeptSubmission } from "../../contract/stored-job.ts";
import { SERVING_TTL_MS } from "../../contract/serving.ts";
import type { ServingWorker } from "../../contract/serving.ts";
import { textIn } from "../sql/rows.ts";
import { CREATE_HISTORY } from "./history-table.ts";
import { CREATE_CANCELLED_INDEX, THIS_QUEUE, rowsOf } from "./job-statements.ts";

/** Creates Taskloom's own tables beside BullMQ's. */
export async function createOwnTables(database: Database): Promise<void> {
  await database.statements([
    [
      "CREATE TABLE IF NOT EXISTS taskloom_kept (queue TEXT NOT NULL, id TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (queue, id)) STRICT, WITHOUT ROWID",
    ],
    ["CREATE INDEX IF NOT EXISTS taskloom_kept_until ON taskloom_kept (queue, until)"],
    [
      "CREATE TABLE IF NOT EXISTS taskloom_lane_claim (queue TEXT NOT NULL, id TEXT NOT NULL, lane TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (queue, id)) STRICT, WITHOUT ROWID",
    ],
    [
      "CREATE TABLE IF NOT EXISTS taskloom_serving (id TEXT PRIMARY KEY, worker TEXT NOT NULL, until INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    ],
    [CREATE_HISTORY],
    [CREATE_CANCELLED_INDEX],
  ]);
}

/** Stores the retention of an ended job, unless it is the default. Nobody waits for it, so it shares the next turn. */
export function recordRetention(
  database: Database,
  laneName: string,
  { id, until, isByDefault }: JobEnd,
): void {
  if (isByDefault) return;
  database.callLater("runStatements", [
    [
      "INSERT INTO taskloom_kept VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET until = excluded.until",
      [laneName, id, Math.ceil(until)],
    ],
  ]);
}

/** {@link Engine.removeExpired} on BullMQ's job table. */
export async function removeExpired(database: Database, laneName: string, now: number): Promise<void> {
  const whole = Math.floor(now);
  // A job that was retried since is skipped: it finished later, or is still running.
  await repeatWhileFull(database, [
    [
      `DELETE FROM job WHERE q = ${THIS_QUEUE} AND state IN (${COMPLETED}, ${FAILED}) AND id IN
          (SELECT id FROM taskloom_kept WHERE queue = ?1 AND until <= ?2 ORDER BY until LIMIT ${MAX_REMOVED})
        AND finished <= (SELECT until FROM taskloom_kept WHERE queue = ?1 AND taskloom_kept.id = job.id)`,
      [laneName, whole],
    ],
    [
      `DELETE FROM taskloom_kept WHERE queue = ?1 AND id IN
          (SELECT id FROM taskloom_kept WHERE queue = ?1 AND until <= ?2 ORDER BY until LIMIT ${MAX_REMOVED})`,
      [laneName, whole],
    ],
  ]);
  for (const [state, keep] of [
    [COMPLETED, DEFAULT_KEEP.completed],
    [FAILED, DEFAULT_KEEP.failed],
  ] as const) {
    await repeatWhileFull(database, [
      [
        `DELETE FROM job WHERE pk IN (SELECT pk FROM job WHERE q = ${THIS_QUEUE} AND state = ${state} AND finished <= ?2
            AND NOT EXISTS (SELECT 1 FROM taskloom_kept WHERE queue = ?1 AND taskloom_kept.id = job.id)
          LIMIT ${MAX_REMOVED})`,
        [laneName, whole - keep],
      ],
    ]);
  }
}

/** The ended jobs whose ids are in the second parameter. */
const ENDED = `q = ${THIS_QUEUE} AND id IN (SELECT value FROM json_each(?2)) AND state IN (${COMPLETED}, ${FAILED})`;

/** {@link Engine.removeEnded} on BullMQ's job table. The statements are one transaction. */
export async function removeEnded(
  database: Database,
  laneName: string,
  ids: readonly string[],
): Promise<string[]> {
  const parameters = [laneName, JSON.stringify(ids)];
  const results = await database.statements([
    [
      `DELETE FROM dedup WHERE q = ${THIS_QUEUE} AND (dedup_id, job_id) IN
          (SELECT dedup_id, id FROM job WHERE ${ENDED} AND dedup_id IS NOT NULL)`,
      parameters,
    ],
    [`DELETE FROM taskloom_kept WHERE queue = ?1 AND id IN (SELECT id FROM job WHERE ${ENDED})`, parameters],
    [`DELETE FROM job WHERE ${ENDED} RETURNING id`, parameters],
  ]);
  const removed = (results.at(-1)?.rows ?? []).map(({ id }) => String(id));
  for (const jobId of removed) database.callLater("publishEvent", laneName, "removed", { jobId });
  return removed;
}

async function repeatWhileFull(database: Database, statements: readonly Statement[]): Promise<void> {
  let changes: number;
  do {
    changes = (await database.statements(statements)).at(-1)?.changes ?? 0;
  } while (changes === MAX_REMOVED);
}

/** {@link Engine.claimLane} for processes that share a folder. */
export async function claimLane(
  database: Database,
  queue: string,
  lane: TaskLane,
  ids: readonly string[],
  now: number,
): Promise<ReadonlySet<string>> {
  const [, result] = await database.statements([
    ["DELETE FROM taskloom_lane_claim WHERE until <= ?", [now]],
    [
      `INSERT INTO taskloom_lane_claim SELECT ?1, value, ?2, ?3 FROM json_each(?4) WHERE true
        ON CONFLICT DO UPDATE SET until = excluded.until WHERE taskloom_lane_claim.lane = excluded.lane RETURNING id`,
      [queue, lane, now + LANE_CLAIM_MS, JSON.stringify(ids)],
    ],
  ]);
  return new Set((result?.rows ?? []).map(({ id }) => String(id)));
}

export async function serve(database: Database, worker: ServingWorker, now: number): Promise<void> {
  await database.statements([
    [
      "INSERT INTO taskloom_serving VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET worker = excluded.worker, until = excluded.until",
      [worker.id, JSON.stringify(worker), now + SERVING_TTL_MS],
    ],
  ]);
}

export async function stopServing(database: Database, id: string, now: number): Promise<void> {
  await database.statements([["DELETE FROM taskloom_serving WHERE id = ? OR until <= ?", [id, now]]]);
}

export async function servingWorkers(database: Database, now: number): Promise<ServingWorker[]> {
  const rows = await rowsOf(database, [
    "SELECT worker FROM taskloom_serving WHERE until > ? ORDER BY id",
    [now],
  ]);
  return rows.map(({ worker }): ServingWorker => JSON.parse(String(worker)));
}

/** {@link Engine.findKept} on BullMQ's table of deduplication keys. */
export async function findKept(
  database: Database,
  laneName: string,
  key: string,
): Promise<KeptSubmission | undefined> {
  const [row] = await rowsOf(database, [
    `SELECT json_extract(next, '$.jobId') AS id, json_extract(json_extract(next, '$.data'), '$.reply') AS reply
      FROM dedup WHERE q = ${THIS_QUEUE} AND dedup_id = ?2 AND next IS NOT NULL`,
    [laneName, key],
  ]);
  const id = row && textIn(row, "id");
  return id === undefined ? undefined : { id, reply: textIn(row!, "reply") };
}

/** {@link Engine.dropKept} on BullMQ's table of deduplication keys. */
export async function dropKept(
  database: Database,
  laneName: string,
  key: string,
  id: string,
): Promise<boolean> {
  const [result] = await database.statements([
    [
      `UPDATE dedup SET next = NULL WHERE q = ${THIS_QUEUE} AND dedup_id = ?2 AND json_extract(next, '$.jobId') = ?3`,
      [laneName, key, id],
    ],
  ]);
  return (result?.changes ?? 0) > 0;
}
