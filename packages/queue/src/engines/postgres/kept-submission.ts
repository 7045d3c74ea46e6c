import type { KeptSubmission } from "../../contract/stored-job.ts";
import { textIn } from "../sql/rows.ts";
import { SCHEMA } from "./schema.ts";
import type { SqlPool } from "./job-table.ts";

/** {@link Engine.findKept} on BullMQ's tables. */
export async function findKept(
  pool: SqlPool,
  laneName: string,
  key: string,
): Promise<KeptSubmission | undefined> {
  const { rows } = await pool.query(
    `SELECT payload ->> 'jobId' AS id, payload -> 'data' ->> 'reply' AS reply
      FROM ${SCHEMA}.dedup_next WHERE queue = $1 AND dedup_id = $2`,
    [laneName, key],
  );
  const [row] = rows;
  const id = row && textIn(row, "id");
  return id === undefined ? undefined : { id, reply: textIn(row!, "reply") };
}

/** {@link Engine.dropKept} on BullMQ's tables. */
export async function dropKept(pool: SqlPool, laneName: string, key: string, id: string): Promise<boolean> {
  const { rows } = await pool.query(
    `DELETE FROM ${SCHEMA}.dedup_next
      WHERE queue = $1 AND dedup_id = $2 AND payload ->> 'jobId' = $3 RETURNING 1`,
    [laneName, key, id],
  );
  return rows.length > 0;
}
