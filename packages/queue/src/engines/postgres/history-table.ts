import { HISTORY_LENGTHS, storedFigures } from "../../contract/history.ts";
import type { HistoryBucket, HistoryEntry, HistoryRange } from "../../contract/history.ts";
import { bucketsOfRows } from "../sql/rows.ts";
import { SCHEMA } from "./schema.ts";
import type { SqlPool } from "./job-table.ts";
import { NOW, unlessCreatedMeanwhile } from "./own-table.ts";

const TABLE = `${SCHEMA}.taskloom_history`;

/** Creates the table of the history: a row for each figure of a bucket. */
export async function createHistory(pool: SqlPool): Promise<void> {
  await unlessCreatedMeanwhile(
    pool.query(
      `CREATE TABLE IF NOT EXISTS ${TABLE}
        (length_ms bigint, start_ms bigint, queue text, name text, value bigint NOT NULL,
          PRIMARY KEY (length_ms, start_ms, queue, name))`,
    ),
  );
}

/** {@link Engine.addHistory}: one statement adds the figures, and another one removes old buckets. */
export async function addHistory(
  pool: SqlPool,
  entries: readonly HistoryEntry[],
  now: number,
): Promise<void> {
  // The rows are sorted, so that the statements of two workers lock them in one order and cannot deadlock.
  const figures = storedFigures(entries, now).toSorted(
    (a, b) => a.length - b.length || compare(a.queue, b.queue) || compare(a.name, b.name),
  );
  const column = <T>(read: (figure: (typeof figures)[number]) => T): T[] => figures.map((each) => read(each));
  await pool.query(
    `INSERT INTO ${TABLE} AS history
      SELECT length_ms, start_ms, queue, name, value
        FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[])
          AS added (length_ms, start_ms, queue, name, value)
      ON CONFLICT (length_ms, start_ms, queue, name) DO UPDATE
        SET value = CASE WHEN excluded.name = ANY ($6::text[])
          THEN greatest(history.value, excluded.value) ELSE history.value + excluded.value END`,
    [
      column(({ length }) => length),
      column(({ start }) => start),
      column(({ queue }) => queue),
      column(({ name }) => name),
      column(({ value }) => value),
      [...new Set(figures.filter(({ isPeak }) => isPeak).map(({ name }) => name))],
    ],
  );
  // Locked rows are skipped: nobody adds to a bucket that is old enough to go, except a worker whose clock is late.
  await pool.query(
    `DELETE FROM ${TABLE} WHERE (length_ms, start_ms, queue, name) IN
      (SELECT length_ms, start_ms, queue, name FROM ${TABLE}
        JOIN unnest($1::bigint[], $2::bigint[]) AS kept (kept_length, keep_ms)
          ON length_ms = kept_length AND start_ms < ${NOW} - keep_ms
        FOR UPDATE OF taskloom_history SKIP LOCKED)`,
    [HISTORY_LENGTHS.map(({ length }) => length), HISTORY_LENGTHS.map(({ keep }) => keep)],
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** {@link Engine.readHistory} on the table of the history. */
export async function readHistory(
  pool: SqlPool,
  { length, from, to }: HistoryRange,
): Promise<HistoryBucket[]> {
  const { rows } = await pool.query(
    `SELECT start_ms AS start, queue, name, value FROM ${TABLE} WHERE length_ms = $1 AND start_ms BETWEEN $2 AND $3`,
    [length, Math.floor(from), Math.floor(to)],
  );
  return bucketsOfRows(rows);
}
