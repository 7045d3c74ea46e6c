import type { Database, Statement } from "@taskloom/bullmq-sqlite";
import type { Lane } from "../../contract/lane.ts";
import { DEFAULT_KEEP } from "../../contract/retention.ts";
import type { JobEnd } from "../../contract/retention.ts";
import { LANE_CLAIM_MS } from "../../contract/engine.ts";
import type { KeptSubmission } from "../../contract/stored-job.ts";
import { SERVING_TTL_MS } from "../../contract/serving.ts";
import type { ServingWorker } from "../../contract/serving.ts";
import { cancelledIndex, firstRow } from "./job-statements.ts";

/** So many jobs are removed at once: a long step would hold up what else the database does. */
const atOnce = 1_000;

const queueNumber = "(SELECT q FROM queue WHERE name = ?1)";

/** Makes Taskloom's own tables beside BullMQ's. */
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
    [cancelledIndex],
  ]);
}

/** Stores how long a job that has ended is kept, where that is not the default. */
export async function noteRetention(
  database: Database,
  queue: string,
  { id, until, isByDefault }: JobEnd,
): Promise<void> {
  if (isByDefault) return;
  await database.statements([
    [
      "INSERT INTO taskloom_kept VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET until = excluded.until",
      [queue, id, Math.ceil(until)],
    ],
  ]);
}

/** Removes the jobs of a queue that have been kept for long enough. */
export async function forgetJobs(database: Database, queue: string, now: number): Promise<void> {
  const whole = Math.floor(now);
  // A job that was run again since has ended later, or is still running: it keeps its record.
  await untilFew(database, [
    [
      `DELETE FROM job WHERE q = ${queueNumber} AND state IN (2, 3) AND id IN
          (SELECT id FROM taskloom_kept WHERE queue = ?1 AND until <= ?2 ORDER BY until LIMIT ${atOnce})
        AND finished <= (SELECT until FROM taskloom_kept WHERE queue = ?1 AND taskloom_kept.id = job.id)`,
      [queue, whole],
    ],
    [
      `DELETE FROM taskloom_kept WHERE queue = ?1 AND id IN
          (SELECT id FROM taskloom_kept WHERE queue = ?1 AND until <= ?2 ORDER BY until LIMIT ${atOnce})`,
      [queue, whole],
    ],
  ]);
  for (const [state, keep] of [
    [2, DEFAULT_KEEP.completed],
    [3, DEFAULT_KEEP.failed],
  ] as const) {
    await untilFew(database, [
      [
        `DELETE FROM job WHERE pk IN (SELECT pk FROM job WHERE q = ${queueNumber} AND state = ${state} AND finished <= ?2
            AND NOT EXISTS (SELECT 1 FROM taskloom_kept WHERE queue = ?1 AND taskloom_kept.id = job.id)
          LIMIT ${atOnce})`,
        [queue, whole - keep],
      ],
    ]);
  }
}

async function untilFew(database: Database, statements: readonly Statement[]): Promise<void> {
  let changes: number;
  do {
    changes = (await database.statements(statements)).at(-1)?.changes ?? 0;
  } while (changes === atOnce);
}

/** {@link Engine.claimLane} for processes that share a folder. */
export async function claimLane(
  database: Database,
  queue: string,
  lane: Lane,
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
  const [result] = await database.statements([
    ["SELECT worker FROM taskloom_serving WHERE until > ? ORDER BY id", [now]],
  ]);
  return (result?.rows ?? []).map(({ worker }) => JSON.parse(String(worker)) as ServingWorker);
}

/** {@link Engine.findKept}: the last duplicate of a job that runs, as it waits for the job's end. */
export async function findKept(
  database: Database,
  queue: string,
  key: string,
): Promise<KeptSubmission | undefined> {
  const row = await firstRow(database, [
    `SELECT json_extract(next, '$.jobId') AS id, json_extract(json_extract(next, '$.data'), '$.reply') AS reply
      FROM dedup WHERE q = ${queueNumber} AND dedup_id = ?2 AND next IS NOT NULL`,
    [queue, key],
  ]);
  return row?.["id"] == null
    ? undefined
    : { id: row["id"] as string, reply: (row["reply"] as string | null) ?? undefined };
}

/** {@link Engine.dropKept}: deletes the duplicate that is kept, if it has this id. */
export async function dropKept(database: Database, queue: string, key: string, id: string): Promise<boolean> {
  const [result] = await database.statements([
    [
      `UPDATE dedup SET next = NULL WHERE q = ${queueNumber} AND dedup_id = ?2 AND json_extract(next, '$.jobId') = ?3`,
      [queue, key, id],
    ],
  ]);
  return (result?.changes ?? 0) > 0;
}
