import { createPostgresBackend } from "bullmq";
import type { PostgresQueueBackend } from "bullmq";
import { anyBackend } from "../../bullmq/any-backend.ts";
import type { AnyBackend } from "../../bullmq/any-backend.ts";
import { extendLocks } from "./extend-locks.ts";
import { SCHEMA } from "./schema.ts";
import type { SqlPool } from "./job-table.ts";

/**
 * Recovers the jobs whose lock has lapsed, in one step that waits for no row. BullMQ marks all active jobs first and
 * recovers them at its next check. Its marks wait for the rows of jobs that end, while it holds other rows, which
 * deadlocked with every renewal of several locks.
 */
const RECOVER = `
WITH stalled AS (
  SELECT id FROM ${SCHEMA}.job
    WHERE queue = $1 AND state = 'active' AND locked_until_ms < $2
    FOR UPDATE SKIP LOCKED
), recovered AS (
  UPDATE ${SCHEMA}.job SET state = 'waiting', lock_token = NULL, locked_until_ms = NULL,
      stalled_marked = false, stalled_count = stalled_count + 1
    FROM stalled WHERE job.queue = $1 AND job.id = stalled.id
    RETURNING job.id
)
SELECT id, ${SCHEMA}.publish_event($1, 'stalled', jsonb_build_object('jobId', id)), pg_notify('bullmq_jobs', $1)
  FROM recovered`;

/**
 * Hands a running job back to the place that it had in the queue before it was taken, so several jobs keep their order.
 * BullMQ would put the job behind all waiting jobs.
 */
const HAND_BACK = `
WITH moved AS (
  UPDATE ${SCHEMA}.job SET state = 'waiting', lock_token = NULL, locked_until_ms = NULL
    WHERE queue = $1 AND id = $2 AND state = 'active' AND ($3 = '0' OR lock_token = $3)
    RETURNING id
)
SELECT ${SCHEMA}.publish_event($1, 'waiting', jsonb_build_object('jobId', id, 'prev', 'active')),
    pg_notify('bullmq_jobs', $1)
  FROM moved`;

/** The number of running jobs, from the index of these jobs. BullMQ counts all states, and so reads each job of the queue. */
const COUNT_ACTIVE = `SELECT count(*) FROM ${SCHEMA}.job WHERE queue = $1 AND state = 'active'`;

/** The end of the current rate limit, which BullMQ returns when a job is handed back. */
const LIMIT_END = `SELECT expire_at_ms::float8 AS until FROM ${SCHEMA}.rate_limit WHERE queue = $1`;

/**
 * Returns BullMQ's backend for PostgreSQL on a pool that its engine opens. Statements that wait for the rows of others
 * are replaced.
 *
 * @param connect resolves when the database can be reached and has its tables. BullMQ itself asks once, and keeps a
 *   refusal for ever.
 */
export function postgresBackend(connect: () => Promise<unknown>): AnyBackend {
  return anyBackend<PostgresQueueBackend, SqlPool>((name, options, factoryOptions) => {
    const backend = createPostgresBackend(name, options as never, factoryOptions);
    const pool = options.connection;
    backend.connection.waitUntilReady = async () => void (await connect());
    backend.moveStalledJobsToWait = async () => {
      await connect();
      const { rows } = await pool.query(RECOVER, [name, Date.now()]);
      return rows.map(({ id }) => String(id));
    };
    const getCounts = backend.getCounts.bind(backend);
    backend.getCounts = async (types, ...rest) => {
      if (types.length !== 1 || types[0] !== "active") return await getCounts(types, ...rest);
      await connect();
      const { rows } = await pool.query(COUNT_ACTIVE, [name]);
      return [Number(rows[0]?.["count"])];
    };
    backend.extendLocks = async (...locks) => {
      await connect();
      return await extendLocks(pool, name, ...locks);
    };
    backend.moveJobFromActiveToWait = async (id, token = "0") => {
      await connect();
      await pool.query(HAND_BACK, [name, id, token]);
      const { rows } = await pool.query(LIMIT_END, [name]);
      return Math.max(0, Number(rows[0]?.["until"] ?? 0) - Date.now());
    };
    return backend;
  });
}
