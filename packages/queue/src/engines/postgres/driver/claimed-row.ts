import type { JobJson, JobProgress, JobsOptions } from "bullmq";
import type { ClaimedRecord } from "../../../contract/lane-driver.ts";
import type { Row } from "../../sql/rows.ts";
import { textIn } from "../../sql/rows.ts";

/** Returns the job of a row of `taskloom_turn_v1` as BullMQ's backend returns it. */
export function claimedOfRow(row: Row): ClaimedRecord {
  const id = String(row["id"]);
  const parentId = textIn(row, "parent_id");
  const record: JobJson = {
    id,
    name: String(row["name"]),
    data: jsonIn(row, "data", "{}"),
    // The driver of the server has parsed these columns.
    opts: (row["opts"] ?? {}) as JobsOptions,
    progress: (row["progress"] ?? 0) as JobProgress,
    attemptsMade: Number(row["attempts_made"]),
    attemptsStarted: Number(row["attempts_started"]),
    timestamp: Number(row["added_at_ms"]),
    delay: Number(row["delay_ms"]),
    priority: Number(row["priority"]),
    stacktrace: jsonIn(row, "stacktrace", "[]"),
    returnvalue: jsonIn(row, "return_value", "null"),
    stalledCounter: Number(row["stalled_count"]),
    ...present("failedReason", textIn(row, "failed_reason")),
    ...present("finishedOn", millisecondsIn(row, "finished_at_ms")),
    ...present("processedOn", millisecondsIn(row, "processed_at_ms")),
    ...present("parentKey", textIn(row, "parent_key")),
    ...present("repeatJobKey", textIn(row, "scheduler_id")),
    ...present("deduplicationId", textIn(row, "dedup_id")),
    ...present("deferredFailure", textIn(row, "deferred_failure")),
    ...present("processedBy", textIn(row, "processed_by")),
  };
  if (parentId !== undefined)
    record.parent = { id: parentId, queueKey: textIn(row, "parent_queue") ?? "" };
  return { id, record };
}

/** Returns an object with the property, or without it if its value is undefined. BullMQ leaves such properties out. */
function present<Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { [K in Key]: Value });
}

/** Returns the text of a column of JSON. BullMQ reads the value null as an absent one. */
function jsonIn(row: Row, column: string, absent: string): string {
  const text = textIn(row, column);
  return text === undefined || text === "null" ? absent : text;
}

/** Returns a column of type bigint, which the driver of the server returns as a text. */
function millisecondsIn(row: Row, column: string): number | undefined {
  return row[column] === null ? undefined : Number(row[column]);
}
