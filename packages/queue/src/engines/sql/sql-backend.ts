import { createPostgresBackend } from "bullmq";
import type { BackendFactory, ConnectionOptions, RedisQueueBackend } from "bullmq";
import { schema } from "./job-table.ts";
import type { SqlPool } from "./job-table.ts";

/**
 * Recovers the jobs whose lock has lapsed, in one step and without waiting for a row. BullMQ marks all active jobs first
 * and recovers at the next look: its marks wait for the rows of jobs that are ending while they hold others, which made
 * a deadlock with each renewal of several locks.
 */
const recoverStatement = `
WITH stalled AS (
  SELECT id FROM ${schema}.job
    WHERE queue = $1 AND state = 'active' AND locked_until_ms < $2
    FOR UPDATE SKIP LOCKED
), recovered AS (
  UPDATE ${schema}.job SET state = 'waiting', lock_token = NULL, locked_until_ms = NULL,
      stalled_marked = false, stalled_count = stalled_count + 1
    FROM stalled WHERE job.queue = $1 AND job.id = stalled.id
    RETURNING job.id
)
SELECT id, ${schema}.publish_event($1, 'stalled', jsonb_build_object('jobId', id)), pg_notify('bullmq_jobs', $1)
  FROM recovered`;

/**
 * Gives a running job back to its own place in the queue. BullMQ puts it behind all that waits; its place is what it had
 * before it was taken, so several that are given back keep their order.
 */
const giveBackStatement = `
WITH moved AS (
  UPDATE ${schema}.job SET state = 'waiting', lock_token = NULL, locked_until_ms = NULL
    WHERE queue = $1 AND id = $2 AND state = 'active' AND ($3 = '0' OR lock_token = $3)
    RETURNING id
)
SELECT ${schema}.publish_event($1, 'waiting', jsonb_build_object('jobId', id, 'prev', 'active')),
    pg_notify('bullmq_jobs', $1)
  FROM moved`;

/** The type by which BullMQ's classes take any backend, so that their users need not name the engine. */
type AnyBackend = BackendFactory<RedisQueueBackend, ConnectionOptions>;

/** How long a rate limit still lasts, as BullMQ answers when a job goes back. */
const limitStatement = `SELECT expire_at_ms::float8 AS until FROM ${schema}.rate_limit WHERE queue = $1`;

/**
 * BullMQ's backend for PostgreSQL on a pool that its engine opens, with those of its statements replaced that are in the
 * way of others.
 *
 * @param connect - Ends when the database is there and has its tables. BullMQ asks once, and keeps a refusal for ever.
 */
export function sqlBackend(connect: () => Promise<unknown>): AnyBackend {
  const make: BackendFactory<never, SqlPool> = (name, options, factoryOptions) => {
    const backend = createPostgresBackend(name, options as never, factoryOptions);
    const pool = options.connection;
    backend.connection.waitUntilReady = async () => void (await connect());
    backend.moveStalledJobsToWait = async () => {
      await connect();
      const { rows } = await pool.query(recoverStatement, [name, Date.now()]);
      return rows.map(({ id }) => id as string);
    };
    backend.moveJobFromActiveToWait = async (id, token = "0") => {
      await connect();
      await pool.query(giveBackStatement, [name, id, token]);
      const { rows } = await pool.query(limitStatement, [name]);
      return Math.max(0, Number(rows[0]?.["until"] ?? 0) - Date.now());
    };
    return backend as never;
  };
  return make as unknown as AnyBackend;
}
