import type { PostgresLane } from "./postgres-operations.ts";

/** The tables of BullMQ: the column of their lane, and the columns that order their rows. */
export const TABLES = {
  job: ["queue", "queue, id"],
  job_log: ["queue", "queue, job_id, idx"],
  job_dependency: ["parent_queue", "parent_queue, parent_id, child_key"],
  event: ["queue", "queue, id"],
  metrics: ["queue", "queue, kind"],
  rate_limit: ["queue", "queue"],
  dedup: ["queue", "queue, dedup_id"],
  dedup_next: ["queue", "queue, dedup_id"],
  scheduler: ["queue", "queue, scheduler_id"],
  meta: ["queue", "queue, field"],
} as const;

type Row = Readonly<Record<string, unknown>>;

/**
 * Returns all rows of the lanes of a sequence, without the times of events, which the server reads from its own clock. All
 * other times come from the sequence.
 */
export async function postgresSnapshot({
  pool,
  queue,
  other,
}: PostgresLane): Promise<Record<string, unknown>> {
  const tables: Record<string, unknown> = {};
  for (const [table, [lane, order]] of Object.entries(TABLES)) {
    const { rows } = await pool.query<{ row: Row }>(
      `SELECT to_jsonb(whole) - 'created_at_ms' AS row FROM ${table} AS whole WHERE ${lane} = ANY($1) ORDER BY ${order}`,
      [[queue.name, other]],
    );
    const all = rows.map(({ row }) => row);
    tables[table] = table === "event" ? inKnownOrder(all) : all;
  }
  return tables;
}

/** Orders the events of jobs that became due in one step by their ids. BullMQ does not order them. */
function inKnownOrder(events: readonly Row[]): Row[] {
  const keyOf = ({ event, data }: Row): string | undefined => {
    const text = JSON.stringify(data);
    return event === "waiting" && text.includes('"prev":"delayed"') ? text : undefined;
  };
  const ordered = [...events];
  for (let from = 0; from < ordered.length; from++) {
    let to = from;
    while (to < ordered.length && keyOf(ordered[to]!) !== undefined) to++;
    const run = ordered.slice(from, to);
    const datas = run
      .map(({ data }) => data)
      .toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
    for (const [index, event] of run.entries()) ordered[from + index] = { ...event, data: datas[index] };
    from = Math.max(from, to);
  }
  return ordered;
}
