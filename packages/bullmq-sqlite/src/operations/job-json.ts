import type { JobJson } from "bullmq";
import type { Row } from "../store/store.ts";

function text(value: Row[string] | undefined): string | undefined {
  return value === null || value === undefined ? undefined : String(value);
}

/** The fields that a job has only if their columns are not NULL. */
const OPTIONAL_TEXTS = [
  ["failedReason", "failed_reason"],
  ["parentKey", "parent_key"],
  ["repeatJobKey", "scheduler_id"],
  ["deduplicationId", "dedup_id"],
  ["deferredFailure", "deferred_failure"],
  ["processedBy", "processed_by"],
] as const;

/** Returns a job's row in the form that BullMQ's `Job.fromJSON` reads, without the fields that have no value. */
export function jobJson(row: Row): JobJson {
  const opts = String(row["opts"]);
  const progress = row["progress"];
  const json: Partial<JobJson> = {
    id: String(row["id"]),
    name: String(row["name"]),
    data: String(row["data"]),
    opts: opts === "{}" ? {} : JSON.parse(opts),
    progress: progress === null || progress === undefined ? 0 : JSON.parse(String(progress)),
    attemptsMade: Number(row["attempts_made"]),
    attemptsStarted: Number(row["attempts_started"]),
    timestamp: Number(row["added"]),
    delay: Number(row["delay"]),
    priority: Number(row["prio"]),
    stacktrace: text(row["stacktrace"]) ?? "[]",
    returnvalue: text(row["return_value"]) ?? "null",
    stalledCounter: Number(row["stalled"]),
  };
  for (const [field, column] of OPTIONAL_TEXTS) {
    const value = text(row[column]);
    if (value !== undefined) json[field] = value;
  }
  const [finished, processed, parentId] = [row["finished"], row["processed"], text(row["parent_id"])];
  if (finished !== null && finished !== undefined) json.finishedOn = Number(finished);
  if (processed !== null && processed !== undefined) json.processedOn = Number(processed);
  if (parentId !== undefined) json.parent = { id: parentId, queueKey: text(row["parent_queue"]) ?? "" };
  return json as JobJson; // BullMQ's type requires a reason of every job.
}
