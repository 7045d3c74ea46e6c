import type { Database } from "@taskloom/bullmq-sqlite";
import { queueOfLaneName } from "../../contract/lane.ts";
import { ABSENT_TEXT, recordOfRow, rowsInOrder, TEXT_FIELDS } from "../../contract/job-record.ts";
import type {
  FieldLimits,
  JobRecord,
  StateOrder,
  StoredState,
  StoredText,
  TextField,
} from "../../contract/job-record.ts";
import { thisJob } from "./job-statements.ts";

/** The condition of each state, and the columns by which it is ordered; each has an index. */
const states: Readonly<
  Record<StoredState, { readonly where: string; readonly order: readonly string[] } | undefined>
> = {
  active: { where: "state = 1", order: ["ord"] },
  waiting: { where: "state = 0 AND prio = 0", order: ["ord"] },
  paused: undefined,
  prioritized: { where: "state = 0 AND prio > 0", order: ["prio", "ord"] },
  delayed: { where: "state = 4", order: ["due"] },
  "waiting-children": { where: "state = 5", order: ["ord"] },
  failed: { where: "state = 3", order: ["finished"] },
  completed: { where: "state = 2", order: ["finished"] },
};

const columns: Readonly<Record<TextField, string>> = {
  data: "data",
  opts: "opts",
  progress: "progress",
  returnvalue: "return_value",
  stacktrace: "stacktrace",
  failedReason: "failed_reason",
};

/** The ids of a state, the newest or the oldest first, from the `from`th on. */
export async function idsIn(
  database: Database,
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
  const [result] = await database.statements([
    [
      `SELECT id FROM job WHERE q = (SELECT q FROM queue WHERE name = ?) AND ${source.where} ORDER BY ${by} LIMIT ? OFFSET ?`,
      [queue, count, from],
    ],
  ]);
  return (result?.rows ?? []).map(({ id }) => String(id));
}

/** Reads jobs by id; of each field that is named in `limits` its size, and its text when that is small. */
export async function readRecords(
  database: Database,
  queue: string,
  ids: readonly string[],
  limits: FieldLimits,
): Promise<(JobRecord | undefined)[]> {
  if (ids.length === 0) return [];
  const texts = TEXT_FIELDS.flatMap((field) => {
    const limit = limits[field];
    if (limit === undefined) return [];
    const column = columns[field];
    return [
      `octet_length(${column}) AS "${field} bytes"`,
      `CASE WHEN octet_length(${column}) <= ${Math.floor(limit)} THEN ${column} END AS "${field}"`,
    ];
  });
  const [result] = await database.statements([
    [
      `SELECT ${["id", "name", "added", "processed", "finished", "attempts_made", "attempts_started", ...texts].join(", ")}
        FROM job WHERE q = (SELECT q FROM queue WHERE name = ?) AND id IN (SELECT value FROM json_each(?))`,
      [queue, JSON.stringify(ids)],
    ],
  ]);
  return rowsInOrder(ids, result?.rows ?? [], (row) => (row === undefined ? undefined : recordOf(row)));
}

function recordOf(row: Readonly<Record<string, unknown>>): JobRecord {
  const text = (field: TextField): StoredText => {
    const bytes = row[`${field} bytes`] as number | null | undefined;
    return bytes == null ? ABSENT_TEXT : { text: (row[field] as string | null) ?? undefined, bytes };
  };
  return recordOfRow(row, text);
}

/** The same as `engines/redis/renew-attempts-script.ts`. */
export async function renewAttempts(database: Database, queue: string, id: string): Promise<void> {
  await database.statements([
    [
      `UPDATE job SET stalled = 0, stalled_marked = 0, deferred_failure = NULL WHERE ${thisJob} AND state = 3`,
      [queue, id],
    ],
  ]);
}

/** Every Taskloom queue that has a job or a schedule. */
export async function queueNames(database: Database): Promise<string[]> {
  const [result] = await database.statements([
    [
      `SELECT name FROM queue WHERE EXISTS (SELECT 1 FROM counter WHERE counter.q = queue.q AND n > 0)
        OR EXISTS (SELECT 1 FROM scheduler WHERE scheduler.q = queue.q)`,
    ],
  ]);
  const names = (result?.rows ?? []).flatMap(({ name }) => queueOfLaneName(String(name)) ?? []);
  return [...new Set(names)].toSorted();
}
