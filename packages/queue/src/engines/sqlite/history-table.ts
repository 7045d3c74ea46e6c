import type { Database } from "@taskloom/bullmq-sqlite";
import { HISTORY_LENGTHS, storedFigures } from "../../contract/history.ts";
import type { HistoryBucket, HistoryEntry, HistoryRange } from "../../contract/history.ts";
import { bucketsOfRows } from "../sql/rows.ts";
import { rowsOf } from "./job-statements.ts";

/** Creates the table of the history: a row for each figure of a bucket. */
export const CREATE_HISTORY =
  "CREATE TABLE IF NOT EXISTS taskloom_history (length INTEGER NOT NULL, start INTEGER NOT NULL, queue TEXT NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (length, start, queue, name)) STRICT, WITHOUT ROWID";

const ROWS = `SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?) WHERE true`;

/** {@link Engine.addHistory} for processes that share a folder. */
export async function addHistory(
  database: Database,
  entries: readonly HistoryEntry[],
  now: number,
): Promise<void> {
  const figures = storedFigures(entries, now);
  const rowsIn = (isPeak: boolean): string =>
    JSON.stringify(
      figures
        .filter((figure) => figure.isPeak === isPeak)
        .map(({ length, start, queue, name, value }) => [length, start, queue, name, value]),
    );
  await database.statements([
    [
      `INSERT INTO taskloom_history ${ROWS} ON CONFLICT DO UPDATE SET value = value + excluded.value`,
      [rowsIn(false)],
    ],
    [
      `INSERT INTO taskloom_history ${ROWS} ON CONFLICT DO UPDATE SET value = max(value, excluded.value)`,
      [rowsIn(true)],
    ],
    ...HISTORY_LENGTHS.map(({ length, keep }): [string, number[]] => [
      "DELETE FROM taskloom_history WHERE length = ? AND start < ?",
      [length, Math.floor(now - keep)],
    ]),
  ]);
}

/** {@link Engine.readHistory} for processes that share a folder. */
export async function readHistory(
  database: Database,
  { length, from, to }: HistoryRange,
): Promise<HistoryBucket[]> {
  const rows = await rowsOf(database, [
    "SELECT start, queue, name, value FROM taskloom_history WHERE length = ? AND start BETWEEN ? AND ?",
    [length, Math.floor(from), Math.floor(to)],
  ]);
  return bucketsOfRows(rows);
}
