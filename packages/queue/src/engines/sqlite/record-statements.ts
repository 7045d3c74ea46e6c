import type { Database } from "@taskloom/bullmq-sqlite";
import {
  ACTIVE,
  COMPLETED,
  DELAYED,
  FAILED,
  WAITING,
  WAITING_CHILDREN,
} from "@taskloom/bullmq-sqlite/states";
import { TEXT_FIELDS } from "../../contract/job-record.ts";
import type {
  FieldLimits,
  JobRecord,
  StateOrder,
  StoredState,
  TextField,
} from "../../contract/job-record.ts";
import { orderBy, queuesOfLanes, recordOfRow, rowsInOrder } from "../sql/rows.ts";
import { THIS_JOB, THIS_QUEUE, rowsOf } from "./job-statements.ts";

/** The condition of each state, and the columns that order its jobs. Each has an index. */
const STATES: Readonly<
  Record<StoredState, { readonly where: string; readonly order: readonly string[] } | undefined>
> = {
  active: { where: `state = ${ACTIVE}`, order: ["ord"] },
  waiting: { where: `state = ${WAITING} AND prio = 0`, order: ["ord"] },
  paused: undefined,
  prioritized: { where: `state = ${WAITING} AND prio > 0`, order: ["prio", "ord"] },
  delayed: { where: `state = ${DELAYED}`, order: ["due"] },
  "waiting-children": { where: `state = ${WAITING_CHILDREN}`, order: ["ord"] },
  failed: { where: `state = ${FAILED}`, order: ["finished"] },
  completed: { where: `state = ${COMPLETED}`, order: ["finished"] },
};

const COLUMNS: Readonly<Record<TextField, string>> = {
  data: "data",
  opts: "opts",
  progress: "progress",
  returnvalue: "return_value",
  stacktrace: "stacktrace",
  failedReason: "failed_reason",
};

const RECORD_COLUMNS = [
  "id",
  "name",
  "added",
  "processed",
  "finished",
  `CASE state WHEN ${COMPLETED} THEN 'completed' WHEN ${FAILED} THEN 'failed' END AS ended`,
  `CASE WHEN state = ${DELAYED} THEN due END AS due`,
  "attempts_made",
  "attempts_started",
  "stalled AS recoveries",
];

/** {@link Engine.idsIn} on BullMQ's job table. */
export async function idsIn(
  database: Database,
  laneName: string,
  state: StoredState,
  from: number,
  count: number,
  order: StateOrder,
): Promise<string[]> {
  const source = STATES[state];
  if (source === undefined) return [];
  const by = orderBy(source.order, order);
  const rows = await rowsOf(database, [
    `SELECT id FROM job WHERE q = ${THIS_QUEUE} AND ${source.where} ${by} LIMIT ?2 OFFSET ?3`,
    [laneName, count, from],
  ]);
  return rows.map(({ id }) => String(id));
}

/** {@link Engine.readRecords} on BullMQ's job table. A field that is larger than its limit is read as its size alone. */
export async function readRecords(
  database: Database,
  laneName: string,
  ids: readonly string[],
  limits: FieldLimits,
): Promise<(JobRecord | undefined)[]> {
  if (ids.length === 0) return [];
  const texts = TEXT_FIELDS.flatMap((field) => {
    const limit = limits[field];
    if (limit === undefined) return [];
    const column = COLUMNS[field];
    return [
      `octet_length(${column}) AS "${field} bytes"`,
      `CASE WHEN octet_length(${column}) <= ${Math.floor(limit)} THEN ${column} END AS "${field}"`,
    ];
  });
  const rows = await rowsOf(database, [
    `SELECT ${[...RECORD_COLUMNS, ...texts].join(", ")}
      FROM job WHERE q = ${THIS_QUEUE} AND id IN (SELECT value FROM json_each(?2))`,
    [laneName, JSON.stringify(ids)],
  ]);
  return rowsInOrder(ids, rows, (row) => row && recordOfRow(row));
}

/** {@link Engine.renewAttempts} on BullMQ's job table. */
export async function renewAttempts(database: Database, laneName: string, id: string): Promise<void> {
  await rowsOf(database, [
    `UPDATE job SET stalled = 0, stalled_marked = 0, deferred_failure = NULL WHERE ${THIS_JOB} AND state = ${FAILED}`,
    [laneName, id],
  ]);
}

/** Returns the names of all Taskloom queues that have a job or a schedule. */
export async function queueNames(database: Database): Promise<string[]> {
  const rows = await rowsOf(database, [
    `SELECT name FROM queue WHERE EXISTS (SELECT 1 FROM counter WHERE counter.q = queue.q AND n > 0)
      OR EXISTS (SELECT 1 FROM scheduler WHERE scheduler.q = queue.q)`,
  ]);
  return queuesOfLanes(rows.map(({ name }) => name));
}
