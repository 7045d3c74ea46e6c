import type { JobJson } from "bullmq";
import type { Row } from "../store/store.ts";

function text(value: Row[string] | undefined): string | undefined {
  return value === null || value === undefined ? undefined : String(value);
}

function number(value: Row[string] | undefined): number | undefined {
  return value === null || value === undefined ? undefined : Number(value);
}

/** Returns a job's row in the form that BullMQ's `Job.fromJSON` reads, without the fields that have no value. */
export function jobJson(row: Row): JobJson {
  const parentId = text(row["parent_id"]);
  const json = {
    id: text(row["id"]),
    name: text(row["name"]),
    data: text(row["data"]),
    opts: JSON.parse(text(row["opts"]) ?? "{}"),
    progress: row["progress"] === null ? 0 : JSON.parse(String(row["progress"])),
    attemptsMade: Number(row["attempts_made"]),
    attemptsStarted: Number(row["attempts_started"]),
    finishedOn: number(row["finished"]),
    processedOn: number(row["processed"]),
    timestamp: Number(row["added"]),
    delay: number(row["delay"]),
    priority: number(row["prio"]),
    failedReason: text(row["failed_reason"]),
    stacktrace: text(row["stacktrace"]) ?? "[]",
    returnvalue: text(row["return_value"]) ?? "null",
    parent: parentId === undefined ? undefined : { id: parentId, queueKey: text(row["parent_queue"]) ?? "" },
    parentKey: text(row["parent_key"]),
    repeatJobKey: text(row["scheduler_id"]),
    deduplicationId: text(row["dedup_id"]),
    deferredFailure: text(row["deferred_failure"]),
    processedBy: text(row["processed_by"]),
    stalledCounter: Number(row["stalled"]),
  };
  return Object.fromEntries(
    Object.entries(json).filter(([, value]) => value !== undefined),
  ) as unknown as JobJson;
}
