import { TEXT_FIELDS } from "../../contract/job-record.ts";
import type {
  FieldLimits,
  JobRecord,
  StateOrder,
  StoredState,
  TextField,
} from "../../contract/job-record.ts";
import { orderBy, queuesOfLanes, recordOfRow, rowsInOrder } from "../sql/rows.ts";
import { SCHEMA } from "./schema.ts";
import type { SqlPool } from "./job-table.ts";

/** The condition of each state, and the columns that order its jobs. BullMQ's own listings use the same, so each has an index. */
const STATES: Readonly<
  Record<StoredState, { readonly where: string; readonly order: readonly string[] } | undefined>
> = {
  active: { where: "state = 'active'", order: ["seq"] },
  waiting: { where: "state = 'waiting' AND priority = 0", order: ["seq"] },
  paused: undefined,
  prioritized: { where: "state = 'waiting' AND priority > 0", order: ["priority", "seq"] },
  delayed: { where: "state = 'delayed'", order: ["process_at_ms"] },
  "waiting-children": { where: "state = 'waiting-children'", order: ["seq"] },
  failed: { where: "state = 'failed'", order: ["finished_at_ms"] },
  completed: { where: "state = 'completed'", order: ["finished_at_ms"] },
};

/** The column of each field, and its text. The stored size is compared first, because unpacking a large value costs the server time. */
const COLUMNS: Readonly<Record<TextField, { readonly name: string; readonly text: string }>> = {
  data: { name: "data", text: "data::text" },
  opts: { name: "opts", text: "opts::text" },
  progress: { name: "progress", text: "progress::text" },
  returnvalue: { name: "return_value", text: "return_value::text" },
  stacktrace: { name: "stacktrace", text: "stacktrace::text" },
  failedReason: { name: "failed_reason", text: "failed_reason" },
};

/** {@link Engine.idsIn} on BullMQ's job table. */
export async function idsIn(
  pool: SqlPool,
  laneName: string,
  state: StoredState,
  from: number,
  count: number,
  order: StateOrder,
): Promise<string[]> {
  const source = STATES[state];
  if (source === undefined) return [];
  const by = orderBy(source.order, order);
  const { rows } = await pool.query(
    `SELECT id FROM ${SCHEMA}.job WHERE queue = $1 AND ${source.where} ${by} OFFSET $2 LIMIT $3`,
    [laneName, from, count],
  );
  return rows.map(({ id }) => String(id));
}

/** {@link Engine.readRecords} on BullMQ's job table. A field that is larger than its limit is read as its size alone. */
export async function readRecords(
  pool: SqlPool,
  laneName: string,
  ids: readonly string[],
  limits: FieldLimits,
): Promise<(JobRecord | undefined)[]> {
  if (ids.length === 0) return [];
  const wanted = TEXT_FIELDS.filter((field) => limits[field] !== undefined);
  const texts = wanted.map((field) => {
    const { name, text } = COLUMNS[field];
    const limit = Math.floor(limits[field]!);
    return `, pg_column_size(${name}) AS "${field} bytes",
      CASE WHEN pg_column_size(${name}) > ${limit} THEN NULL
        WHEN octet_length(${text}) > ${limit} THEN NULL ELSE ${text} END AS "${field}"`;
  });
  const { rows } = await pool.query(
    `SELECT id, name, added_at_ms::float8 AS added, processed_at_ms::float8 AS processed,
        finished_at_ms::float8 AS finished, CASE WHEN state IN ('completed', 'failed') THEN state END AS ended,
        CASE WHEN state = 'delayed' THEN process_at_ms::float8 END AS due, attempts_made, attempts_started,
        stalled_count AS recoveries${texts.join("")}
      FROM ${SCHEMA}.job WHERE queue = $1 AND id = ANY($2)`,
    [laneName, [...ids]],
  );
  return rowsInOrder(ids, rows, (row) => row && recordOfRow(row));
}

/** {@link Engine.renewAttempts} on BullMQ's job table. */
export async function renewAttempts(pool: SqlPool, laneName: string, id: string): Promise<void> {
  await pool.query(
    `UPDATE ${SCHEMA}.job SET stalled_count = 0, stalled_marked = false, deferred_failure = NULL
      WHERE queue = $1 AND id = $2 AND state = 'failed'`,
    [laneName, id],
  );
}

/**
 * Returns the names of all Taskloom queues that have a job or a schedule. The walk along the primary keys needs one probe
 * for each queue.
 */
export async function queueNames(pool: SqlPool): Promise<string[]> {
  const walk = (table: string): string => `
    (WITH RECURSIVE walk AS (
      (SELECT queue FROM ${SCHEMA}.${table} ORDER BY queue LIMIT 1)
      UNION ALL
      SELECT (SELECT queue FROM ${SCHEMA}.${table} WHERE queue > walk.queue ORDER BY queue LIMIT 1)
        FROM walk WHERE walk.queue IS NOT NULL
    ) SELECT queue FROM walk WHERE queue IS NOT NULL)`;
  const { rows } = await pool.query(`${walk("job")} UNION ${walk("scheduler")}`);
  return queuesOfLanes(rows.map(({ queue }) => queue));
}
