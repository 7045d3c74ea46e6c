import { DEFAULT_KEEP } from "../../contract/retention.ts";
import type { JobEnd } from "../../contract/retention.ts";
import { schema } from "./job-table.ts";
import type { SqlPool } from "./job-table.ts";
import { unlessMadeMeanwhile } from "./own-table.ts";

const table = `${schema}.taskloom_kept`;
/** So many rows go in one statement: a long one would hold up what else the server does. */
const atOnce = 1_000;

/** Makes the table of the jobs that are not kept for the default time. */
export async function createRetention(pool: SqlPool): Promise<void> {
  await unlessMadeMeanwhile(
    pool.query(
      `CREATE TABLE IF NOT EXISTS ${table} (queue text, id text, until_ms bigint NOT NULL, PRIMARY KEY (queue, id))`,
    ),
  );
  await unlessMadeMeanwhile(
    pool.query(`CREATE INDEX IF NOT EXISTS taskloom_kept_until ON ${table} (queue, until_ms)`),
  );
}

/** Takes down how long a job that has ended is kept, where that is not the default. */
export async function noteRetention(
  pool: SqlPool,
  queue: string,
  { id, until, isByDefault }: JobEnd,
): Promise<void> {
  if (isByDefault) return;
  await pool.query(
    `INSERT INTO ${table} VALUES ($1, $2, $3)
      ON CONFLICT (queue, id) DO UPDATE SET until_ms = excluded.until_ms`,
    [queue, id, Math.ceil(until)],
  );
}

/**
 * Whether a job can be removed without waiting, as a condition on its row. With a flow's parent go the rows of what its
 * children gave; a child that ends right now holds those and waits for its parent, so BullMQ has a lock for the pair.
 */
const isFree = `CASE WHEN EXISTS
      (SELECT 1 FROM ${schema}.job_dependency child WHERE child.parent_queue = job.queue AND child.parent_id = job.id)
    THEN pg_try_advisory_xact_lock(hashtext('bullmq:parent:' || job.queue || ':' || job.id)) ELSE true END`;

/**
 * Those whose own time is over. One that was run again meanwhile has ended later than that, or not yet. One that is in
 * use stays until the next time.
 */
const forgetOwn = `
WITH due AS (
  SELECT id, until_ms FROM ${table} WHERE queue = $1 AND until_ms <= $2 LIMIT ${atOnce} FOR UPDATE SKIP LOCKED
), ended AS (
  SELECT job.id FROM ${schema}.job JOIN due ON job.id = due.id
    WHERE job.queue = $1 AND state IN ('completed', 'failed') AND finished_at_ms <= until_ms
), free AS (
  SELECT id FROM ${schema}.job WHERE queue = $1 AND id IN (SELECT id FROM ended) AND ${isFree}
    FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM ${schema}.job WHERE queue = $1 AND id IN (SELECT id FROM free)
), forgotten AS (
  DELETE FROM ${table} WHERE queue = $1 AND id IN
      (SELECT id FROM due WHERE id NOT IN (SELECT id FROM ended) OR id IN (SELECT id FROM free))
    RETURNING 1
)
SELECT count(*) AS count FROM forgotten`;

const forgetOthers = `
WITH gone AS (
  DELETE FROM ${schema}.job WHERE queue = $1 AND id IN
      (SELECT id FROM ${schema}.job WHERE queue = $1 AND state = $2::${schema}.job_state AND finished_at_ms <= $3
        AND NOT EXISTS (SELECT 1 FROM ${table} kept WHERE kept.queue = job.queue AND kept.id = job.id)
        AND ${isFree}
        LIMIT ${atOnce} FOR UPDATE SKIP LOCKED)
    RETURNING 1
)
SELECT count(*) AS count FROM gone`;

/** Removes the jobs of a queue that have been kept for long enough. */
export async function forgetJobs(pool: SqlPool, queue: string, now: number): Promise<void> {
  const whole = Math.floor(now);
  await untilFew(pool, forgetOwn, [queue, whole]);
  for (const state of ["completed", "failed"] as const)
    await untilFew(pool, forgetOthers, [queue, state, whole - DEFAULT_KEEP[state]]);
}

async function untilFew(pool: SqlPool, statement: string, params: readonly unknown[]): Promise<void> {
  let count: number;
  do {
    const { rows } = await pool.query(statement, params);
    count = Number(rows[0]?.["count"] ?? 0);
  } while (count === atOnce);
}
