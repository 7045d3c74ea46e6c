import { SCHEMA } from "./schema.ts";
import type { SqlPool } from "./job-table.ts";

const EXTEND = `
WITH input AS (
  SELECT * FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS lock(id, token, ord)
), held AS (
  SELECT job.id FROM ${SCHEMA}.job JOIN input ON input.id = job.id AND input.token = job.lock_token
    WHERE job.queue = $1 AND job.state = 'active'
    ORDER BY job.id COLLATE "C" FOR NO KEY UPDATE OF job
), extended AS (
  UPDATE ${SCHEMA}.job SET locked_until_ms = $5::bigint + $4::bigint
    FROM held WHERE job.queue = $1 AND job.id = held.id
    RETURNING job.id
)
SELECT input.id FROM input LEFT JOIN extended USING (id) WHERE extended.id IS NULL ORDER BY input.ord`;

/**
 * Renews locks, and returns the ids of the jobs whose lock is lost. The rows are locked by the bytes of their ids, as ends
 * do: BullMQ locks them in the order of its plan, and a renewal and a turn could each wait for a row of the other.
 *
 * @param duration milliseconds.
 */
export async function extendLocks(
  pool: SqlPool,
  queue: string,
  ids: readonly string[],
  tokens: readonly string[],
  duration: number,
): Promise<string[]> {
  const { rows } = await pool.query(EXTEND, [queue, ids, tokens, duration, Date.now()]);
  return rows.map(({ id }) => String(id));
}
