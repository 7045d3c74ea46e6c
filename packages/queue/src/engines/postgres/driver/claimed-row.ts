import type { JobJson } from "bullmq";
import type { ClaimedRecord } from "../../../contract/lane-driver.ts";
import type { Row } from "../../sql/rows.ts";
import { textIn } from "../../sql/rows.ts";

/** The fields that a record has only if their columns are not NULL. */
const OPTIONAL_TEXTS = [
  ["failedReason", "failed_reason"],
  ["parentKey", "parent_key"],
  ["repeatJobKey", "scheduler_id"],
  ["deduplicationId", "dedup_id"],
  ["deferredFailure", "deferred_failure"],
  ["processedBy", "processed_by"],
] as const;

/** Returns the job of a row of `taskloom_turn_v1` as BullMQ's backend returns it. */
export function claimedOfRow(row: Row): ClaimedRecord {
  const id = String(row["id"]);
  const parentId = textIn(row, "parent_id");
  const record: Partial<JobJson> = {
    id,
    name: String(row["name"]),
    data: jsonIn(row, "data", "{}"),
    // The client of the server has parsed these columns.
    opts: row["opts"] ?? {},
    progress: row["progress"] ?? 0,
    attemptsMade: Number(row["attempts_made"]),
    attemptsStarted: Number(row["attempts_started"]),
    timestamp: Number(row["added_at_ms"]),
    delay: Number(row["delay_ms"]),
    priority: Number(row["priority"]),
    stacktrace: jsonIn(row, "stacktrace", "[]"),
    returnvalue: jsonIn(row, "return_value", "null"),
    stalledCounter: Number(row["stalled_count"]),
  };
  for (const [field, column] of OPTIONAL_TEXTS) {
    const text = textIn(row, column);
    if (text !== undefined) record[field] = text;
  }
  // The client returns a bigint as a text.
  if (row["finished_at_ms"] !== null) record.finishedOn = Number(row["finished_at_ms"]);
  if (row["processed_at_ms"] !== null) record.processedOn = Number(row["processed_at_ms"]);
  if (parentId !== undefined) record.parent = { id: parentId, queueKey: textIn(row, "parent_queue") ?? "" };
  // BullMQ's type requires a reason of every job, and BullMQ's backend leaves it out.
  return { id, record: record as JobJson };
}

/** Returns the text of a column of JSON. BullMQ reads the value null as an absent one. */
function jsonIn(row: Row, column: string, absent: string): string {
  const text = textIn(row, column);
  return text === undefined || text === "null" ? absent : text;
}
