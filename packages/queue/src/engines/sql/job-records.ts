import { ABSENT_TEXT, recordOfRow, rowsInOrder, TEXT_FIELDS } from "../../contract/job-record.ts";
import type {
  FieldLimits,
  JobRecord,
  StateOrder,
  StoredState,
  StoredText,
  TextField,
} from "../../contract/job-record.ts";
import { queueOfLaneName } from "../../contract/lane.ts";
import { schema } from "./job-table.ts";
import type { SqlPool } from "./job-table.ts";

/** The condition and the order of each state; the orders are those of BullMQ's own listings, which have indexes. */
const states: Readonly<
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

/** Each field as text; a large one is measured as it is stored first, since unpacking it costs the server time. */
const columns: Readonly<Record<TextField, { readonly name: string; readonly text: string }>> = {
  data: { name: "data", text: "data::text" },
  opts: { name: "opts", text: "opts::text" },
  progress: { name: "progress", text: "progress::text" },
  returnvalue: { name: "return_value", text: "return_value::text" },
  stacktrace: { name: "stacktrace", text: "stacktrace::text" },
  failedReason: { name: "failed_reason", text: "failed_reason" },
};

/** The ids of a state, the newest or the oldest first, from the `from`th on. */
export async function idsIn(
  pool: SqlPool,
  queue: string,
  state: StoredState,
  from: number,
  count: number,
  order: StateOrder,
): Promise<string[]> {
  const source = states[state];
  if (source === undefined) return [];
  const direction = order === "newest" ? "DESC" : "ASC";
  const by = [...source.order, "id"].map((column) => `${column} ${direction}`).join(", ");
  const { rows } = await pool.query(
    `SELECT id FROM ${schema}.job WHERE queue = $1 AND ${source.where} ORDER BY ${by} OFFSET $2 LIMIT $3`,
    [queue, from, count],
  );
  return rows.map(({ id }) => id as string);
}

/** Reads jobs by id in one query; of each field that is named in `limits`, its size, and its text when that is small. */
export async function readRecords(
  pool: SqlPool,
  queue: string,
  ids: readonly string[],
  limits: FieldLimits,
): Promise<(JobRecord | undefined)[]> {
  if (ids.length === 0) return [];
  const wanted = TEXT_FIELDS.filter((field) => limits[field] !== undefined);
  const texts = wanted.map((field) => {
    const { name, text } = columns[field];
    const limit = Math.floor(limits[field]!);
    return `, pg_column_size(${name}) AS "${field} bytes",
      CASE WHEN pg_column_size(${name}) > ${limit} THEN NULL
        WHEN octet_length(${text}) > ${limit} THEN NULL ELSE ${text} END AS "${field}"`;
  });
  const { rows } = await pool.query(
    `SELECT id, name, added_at_ms::float8 AS added, processed_at_ms::float8 AS processed,
        finished_at_ms::float8 AS finished, attempts_made, attempts_started${texts.join("")}
      FROM ${schema}.job WHERE queue = $1 AND id = ANY($2)`,
    [queue, [...ids]],
  );
  return rowsInOrder(ids, rows, (row) => (row === undefined ? undefined : recordOf(row)));
}

function recordOf(row: Readonly<Record<string, unknown>>): JobRecord {
  const text = (field: TextField): StoredText => {
    const value = row[field] as string | null | undefined;
    const bytes = row[`${field} bytes`] as number | null | undefined;
    if (bytes == null) return ABSENT_TEXT;
    return { text: value ?? undefined, bytes: value == null ? bytes : Math.max(bytes, value.length) };
  };
  return recordOfRow(row, text);
}

/** The same as `engines/redis/renew-attempts-script.ts`. */
export async function renewAttempts(pool: SqlPool, queue: string, id: string): Promise<void> {
  await pool.query(
    `UPDATE ${schema}.job SET stalled_count = 0, stalled_marked = false, deferred_failure = NULL
      WHERE queue = $1 AND id = $2 AND state = 'failed'`,
    [queue, id],
  );
}

/** Every Taskloom queue that has a job or a schedule: a walk along the primary keys, one probe for each queue. */
export async function queueNames(pool: SqlPool): Promise<string[]> {
  const walk = (table: string): string => `
    (WITH RECURSIVE walk AS (
      (SELECT queue FROM ${schema}.${table} ORDER BY queue LIMIT 1)
      UNION ALL
      SELECT (SELECT queue FROM ${schema}.${table} WHERE queue > walk.queue ORDER BY queue LIMIT 1)
        FROM walk WHERE walk.queue IS NOT NULL
    ) SELECT queue FROM walk WHERE queue IS NOT NULL)`;
  const { rows } = await pool.query(`${walk("job")} UNION ${walk("scheduler")}`);
  const names = rows.flatMap(({ queue }) => queueOfLaneName(queue as string) ?? []);
  return [...new Set(names)].toSorted();
}
