import type { EmbeddedPool } from "./pool.ts";

/**
 * Hands back the jobs that were running when the last process died: whoever holds the folder's lock knows that
 * nobody works on them any more, so they need not wait for their own locks to lapse.
 *
 * Each death is counted as BullMQ's stalled check counts it. How many a job may have is the worker's to say, as on
 * every other engine.
 */
export async function recoverRunningJobs(pool: EmbeddedPool): Promise<number> {
  const { rows } = await pool.query<{ recovered: number }>(
    `WITH recovered AS (
       UPDATE job
          SET state = 'waiting',
              lock_token = NULL,
              locked_until_ms = NULL,
              stalled_marked = false,
              stalled_count = stalled_count + 1
        WHERE state = 'active'
        RETURNING queue, id)
     SELECT count(publish_event(queue, 'stalled', jsonb_build_object('jobId', id)))::int AS recovered FROM recovered`,
  );
  return rows[0]?.recovered ?? 0;
}
