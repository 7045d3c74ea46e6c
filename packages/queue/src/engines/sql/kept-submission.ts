import type { KeptSubmission } from "../../contract/stored-job.ts";
import { schema } from "./job-table.ts";
import type { SqlPool } from "./job-table.ts";

/** {@link Engine.findKept} on BullMQ's tables. */
export async function findKept(
  pool: SqlPool,
  queue: string,
  key: string,
): Promise<KeptSubmission | undefined> {
  const { rows } = await pool.query(
    `SELECT payload ->> 'jobId' AS id, payload -> 'data' ->> 'reply' AS reply
      FROM ${schema}.dedup_next WHERE queue = $1 AND dedup_id = $2`,
    [queue, key],
  );
  const row = rows[0] as { readonly id: string | null; readonly reply: string | null } | undefined;
  return row?.id == null ? undefined : { id: row.id, reply: row.reply ?? undefined };
}

/** {@link Engine.dropKept} on BullMQ's tables. */
export async function dropKept(pool: SqlPool, queue: string, key: string, id: string): Promise<boolean> {
  const { rows } = await pool.query(
    `DELETE FROM ${schema}.dedup_next
      WHERE queue = $1 AND dedup_id = $2 AND payload ->> 'jobId' = $3 RETURNING 1`,
    [queue, key, id],
  );
  return rows.length > 0;
}
