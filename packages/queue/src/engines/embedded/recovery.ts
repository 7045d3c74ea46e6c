import type { EmbeddedPool } from "./pool.ts";

/**
 * Hands back the jobs that were running when the last process died: whoever holds the folder's lock knows that
 * nobody works on them any more, so they need not wait for their own locks to lapse.
 *
 * A job that was running at more deaths than it has attempts (at least one is forgiven) may be what killed the
 * process. It is marked as BullMQ's stalled check marks it, and fails when a worker takes it; scheduled jobs are
 * never failed for that, there as here.
 */
export async function recoverRunningJobs(pool: EmbeddedPool): Promise<number> {
  const { rows } = await pool.query<{ recovered: number }>(
    `WITH recovered AS (
       UPDATE job
          SET state = 'waiting',
              lock_token = NULL,
              locked_until_ms = NULL,
              stalled_marked = false,
              stalled_count = stalled_count + 1,
              deferred_failure = CASE
                WHEN scheduler_id IS NULL AND stalled_count >= GREATEST(max_attempts, 1)
                  THEN COALESCE(deferred_failure, 'job stalled more than allowable limit')
                ELSE deferred_failure
              END
        WHERE state = 'active'
        RETURNING queue, id)
     SELECT count(publish_event(queue, 'stalled', jsonb_build_object('jobId', id)))::int AS recovered FROM recovered`,
  );
  return rows[0]?.recovered ?? 0;
}
