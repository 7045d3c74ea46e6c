import { MAX_REMOVED } from "../../contract/engine.ts";
import { DEFAULT_KEEP } from "../../contract/retention.ts";
import type { JobEnd } from "../../contract/retention.ts";
import { SCHEMA } from "./schema.ts";
import type { SqlPool } from "./job-table.ts";
import { unlessCreatedMeanwhile } from "./own-table.ts";

const TABLE = `${SCHEMA}.taskloom_kept`;

/** Creates the table of the jobs whose retention is not the default. */
export async function createRetention(pool: SqlPool): Promise<void> {
  await unlessCreatedMeanwhile(
    pool.query(
      `CREATE TABLE IF NOT EXISTS ${TABLE} (queue text, id text, until_ms bigint NOT NULL, PRIMARY KEY (queue, id))`,
    ),
  );
  await unlessCreatedMeanwhile(
    pool.query(`CREATE INDEX IF NOT EXISTS taskloom_kept_until ON ${TABLE} (queue, until_ms)`),
  );
}

/** Stores the retention of an ended job, unless it is the default. */
export async function recordRetention(
  pool: SqlPool,
  laneName: string,
  { id, until, isByDefault }: JobEnd,
): Promise<void> {
  if (isByDefault) return;
  await pool.query(
    `INSERT INTO ${TABLE} VALUES ($1, $2, $3)
      ON CONFLICT (queue, id) DO UPDATE SET until_ms = excluded.until_ms`,
    [laneName, id, Math.ceil(until)],
  );
}

/**
 * The condition of a job's row that it can be removed without waiting. The rows of its children's results are removed with
 * a flow's parent. A child that ends right now locks those rows and waits for its parent; BullMQ's advisory lock prevents
 * the deadlock.
 */
const IS_FREE = `CASE WHEN EXISTS
      (SELECT 1 FROM ${SCHEMA}.job_dependency child WHERE child.parent_queue = job.queue AND child.parent_id = job.id)
    THEN pg_try_advisory_xact_lock(hashtext('bullmq:parent:' || job.queue || ':' || job.id)) ELSE true END`;

/** Removes the journals of the removed jobs. */
const FORGOTTEN = ["run", "log", "inbox"]
  .map(
    (table) =>
      `gone_${table} AS (DELETE FROM ${SCHEMA}.taskloom_${table} WHERE queue = $1 AND id IN (SELECT id FROM gone))`,
  )
  .join(", ");

/**
 * Removes jobs whose own time is over. Jobs that were retried since are skipped: they finished later, or are still
 * running. Jobs that are locked stay until the next call.
 */
const REMOVE_OWN = `
WITH due AS (
  SELECT id, until_ms FROM ${TABLE} WHERE queue = $1 AND until_ms <= $2 LIMIT ${MAX_REMOVED} FOR UPDATE SKIP LOCKED
), ended AS (
  SELECT job.id FROM ${SCHEMA}.job JOIN due ON job.id = due.id
    WHERE job.queue = $1 AND state IN ('completed', 'failed') AND finished_at_ms <= until_ms
), free AS (
  SELECT id FROM ${SCHEMA}.job WHERE queue = $1 AND id IN (SELECT id FROM ended) AND ${IS_FREE}
    FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM ${SCHEMA}.job WHERE queue = $1 AND id IN (SELECT id FROM free) RETURNING id
), ${FORGOTTEN}, removed AS (
  DELETE FROM ${TABLE} WHERE queue = $1 AND id IN
      (SELECT id FROM due WHERE id NOT IN (SELECT id FROM ended) OR id IN (SELECT id FROM free))
    RETURNING 1
)
SELECT count(*) AS count FROM removed`;

/** Removes jobs with the default retention. */
const REMOVE_DEFAULT = `
WITH gone AS (
  DELETE FROM ${SCHEMA}.job WHERE queue = $1 AND id IN
      (SELECT id FROM ${SCHEMA}.job WHERE queue = $1 AND state = $2::${SCHEMA}.job_state AND finished_at_ms <= $3
        AND NOT EXISTS (SELECT 1 FROM ${TABLE} kept WHERE kept.queue = job.queue AND kept.id = job.id)
        AND ${IS_FREE}
        LIMIT ${MAX_REMOVED} FOR UPDATE SKIP LOCKED)
    RETURNING id
), ${FORGOTTEN}
SELECT count(*) AS count FROM gone`;

/** {@link Engine.removeExpired} on BullMQ's job table. */
export async function removeExpired(pool: SqlPool, laneName: string, now: number): Promise<void> {
  const whole = Math.floor(now);
  await repeatWhileFull(pool, REMOVE_OWN, [laneName, whole]);
  for (const state of ["completed", "failed"] as const)
    await repeatWhileFull(pool, REMOVE_DEFAULT, [laneName, state, whole - DEFAULT_KEEP[state]]);
}

async function repeatWhileFull(pool: SqlPool, statement: string, params: readonly unknown[]): Promise<void> {
  let count: number;
  do {
    const { rows } = await pool.query(statement, params);
    count = Number(rows[0]?.["count"] ?? 0);
  } while (count === MAX_REMOVED);
}

/** Removes ended jobs by their ids. A job that is locked, as by a retry, stays. */
const REMOVE_ENDED = `
WITH gone AS (
  DELETE FROM ${SCHEMA}.job WHERE queue = $1 AND id IN
      (SELECT id FROM ${SCHEMA}.job WHERE queue = $1 AND id = ANY($2) AND state IN ('completed', 'failed') AND ${IS_FREE}
        FOR UPDATE SKIP LOCKED)
    RETURNING id, dedup_id
), ${FORGOTTEN}, kept AS (DELETE FROM ${TABLE} WHERE queue = $1 AND id IN (SELECT id FROM gone))
SELECT id, dedup_id FROM gone`;

/** BullMQ locks the row of a key before that of its job, so the keys are not released in the statement that removes the jobs. */
const RELEASE_KEYS = `
WITH held AS (DELETE FROM ${SCHEMA}.dedup USING unnest($2::text[], $3::text[]) AS gone(id, key)
  WHERE dedup.queue = $1 AND dedup_id = key AND job_id = id
    AND NOT EXISTS (SELECT 1 FROM ${SCHEMA}.job WHERE job.queue = $1 AND job.id = gone.id) RETURNING dedup_id)
DELETE FROM ${SCHEMA}.dedup_next WHERE queue = $1 AND dedup_id IN (SELECT dedup_id FROM held)`;

/** Stores the event of each removal, as BullMQ's own removal does. */
const NOTE_REMOVED = `SELECT ${SCHEMA}.publish_event($1, 'removed', jsonb_build_object('jobId', id)) FROM unnest($2::text[]) AS gone(id)`;

/** {@link Engine.removeEnded} on BullMQ's job table. */
export async function removeEnded(
  pool: SqlPool,
  laneName: string,
  ids: readonly string[],
): Promise<string[]> {
  const { rows } = await pool.query(REMOVE_ENDED, [laneName, [...ids]]);
  const holders = rows.filter(({ dedup_id: key }) => typeof key === "string");
  if (holders.length > 0)
    await pool.query(RELEASE_KEYS, [
      laneName,
      holders.map(({ id }) => id),
      holders.map(({ dedup_id: key }) => key),
    ]);
  const removed = rows.map(({ id }) => String(id));
  if (removed.length > 0) await pool.query(NOTE_REMOVED, [laneName, removed]);
  return removed;
}
