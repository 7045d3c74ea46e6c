import { ABSENT_TEXT, countedAttempts, textsBy } from "../../contract/job-record.ts";
import type { JobRecord, StateOrder, StoredText, TextField } from "../../contract/job-record.ts";
import { bucketsOf } from "../../contract/history.ts";
import type { HistoryBucket } from "../../contract/history.ts";
import { queueOfLaneName } from "../../contract/lane.ts";
import type { StoredJob } from "../../contract/stored-job.ts";

/** A row as a statement of a SQL engine returns it. */
export type Row = Readonly<Record<string, unknown>>;

/** Returns the buckets of rows with the columns `start`, `queue`, `name` and `value`. */
export function bucketsOfRows(rows: readonly Row[]): HistoryBucket[] {
  return bucketsOf(
    rows.map(({ start, queue, name, value }) => ({
      start: Number(start),
      queue: String(queue),
      name: String(name),
      value: Number(value),
    })),
  );
}

/** Returns a column's text; undefined for NULL and for a column that was not read. */
export function textIn(row: Row, column: string): string | undefined {
  const value = row[column];
  return typeof value === "string" ? value : undefined;
}

/** Returns a column's number; undefined for NULL and for a column that was not read. */
export function numberIn(row: Row, column: string): number | undefined {
  const value = row[column];
  return typeof value === "number" ? value : undefined;
}

/** Returns the result of `read` for each id. `read` receives the row that has the id, or undefined. */
export function rowsInOrder<T>(
  ids: readonly string[],
  rows: readonly Row[],
  read: (row: Row | undefined) => T,
): T[] {
  const byId = new Map(rows.map((row) => [row["id"], row]));
  return ids.map((id) => read(byId.get(id)));
}

/**
 * Returns the record of a row with the columns `id`, `name`, `added`, `processed`, `finished`, `ended`, `due`, `attempts_made`,
 * `attempts_started` and `recoveries`, and for each field that was read its text and its size, as `<field>` and `<field> bytes`.
 */
export function recordOfRow(row: Row): JobRecord {
  const text = (field: TextField): StoredText => {
    const bytes = numberIn(row, `${field} bytes`);
    if (bytes === undefined) return ABSENT_TEXT;
    const stored = textIn(row, field);
    // PostgreSQL measures a compressed value.
    return { text: stored, bytes: stored === undefined ? bytes : Math.max(bytes, stored.length) };
  };
  return {
    id: String(row["id"]),
    name: String(row["name"]),
    timestamp: numberIn(row, "added") ?? 0,
    processedOn: numberIn(row, "processed"),
    finishedOn: numberIn(row, "finished"),
    ended: row["ended"] === "completed" || row["ended"] === "failed" ? row["ended"] : undefined,
    dueAt: numberIn(row, "due"),
    attemptsMade: numberIn(row, "attempts_made") ?? 0,
    attemptsStarted: numberIn(row, "attempts_started") ?? 0,
    recoveries: numberIn(row, "recoveries") ?? 0,
    texts: textsBy(text),
  };
}

/**
 * Returns an ended job of a row with the columns `return_value`, `failed_reason`, `stacktrace`, `progress`,
 * `attempts_made` and `attempts_started`. `parse` reads a column of JSON as the engine returns it.
 */
export function endedJobOfRow(row: Row, isFailed: boolean, parse: (stored: unknown) => unknown): StoredJob {
  const stacktrace = parse(row["stacktrace"]);
  return {
    kind: "finished",
    attempts: countedAttempts(numberIn(row, "attempts_made") ?? 0, numberIn(row, "attempts_started") ?? 0),
    progress: parse(row["progress"]),
    record: {
      failed: isFailed,
      returnvalue: parse(row["return_value"]),
      failedReason: textIn(row, "failed_reason"),
      stacktrace: Array.isArray(stacktrace) ? stacktrace : [],
    },
  };
}

/** Returns the ORDER BY clause for columns that grow from the oldest job to the newest. */
export function orderBy(columns: readonly string[], order: StateOrder): string {
  const direction = order === "newest" ? "DESC" : "ASC";
  return `ORDER BY ${[...columns, "id"].map((column) => `${column} ${direction}`).join(", ")}`;
}

/** Returns the names of the Taskloom queues among BullMQ's queues, each once and in order. */
export function queuesOfLanes(laneNames: readonly unknown[]): string[] {
  const names = laneNames.flatMap((name) => queueOfLaneName(String(name)) ?? []);
  return [...new Set(names)].toSorted();
}
