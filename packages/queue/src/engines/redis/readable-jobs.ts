import { Job } from "bullmq";
import type { JobJson } from "bullmq";
import { valueOr } from "../../value-or.ts";
import { unreadableFailure } from "../../bullmq/deferred-end.ts";
import { ObjectDataQueue } from "../../bullmq/object-data-queue.ts";
import type { JobRecord } from "../../contract/job-record.ts";
import type { ScriptRunner } from "../../bullmq/end-batches.ts";

/** The fields that BullMQ parses as soon as it has read a job, and their empty values. A text that is not JSON is an error there. */
const PARSED_FIELDS: Readonly<Record<string, string>> = { opts: "{}", progress: "0", parent: "null" };

/**
 * Lets a worker take a job whose options or progress are not JSON, which any client of this Redis can have written. BullMQ
 * would throw after it has moved the job to `active`, where the job's lock would lapse, and so on for ever.
 *
 * The faulty fields are empty in the copy that this worker receives, and its runner fails the job.
 */
export function takeUnreadable(backend: ScriptRunner): void {
  const run = backend.execCommand.bind(backend);
  backend.execCommand = async (client, name, args) => {
    const result = await run(client, name, args);
    if (Array.isArray(result) && Array.isArray(result[0])) mend(result[0]);
    return result;
  };
}

/** Empties the faulty fields of a job as Redis returns it, with names and values in turn. */
function mend(fields: unknown[]): void {
  const faults: string[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = String(fields[at]);
    const empty = PARSED_FIELDS[name];
    if (empty === undefined || isJson(fields[at + 1], name === "opts")) continue;
    faults.push(`its ${name} is not JSON`);
    fields[at + 1] = empty;
  }
  if (faults.length > 0) fields.push("defa", unreadableFailure(faults.join(", ")));
}

function isJson(text: unknown, mustBeObject: boolean): boolean {
  if (text === "" || text == null) return true;
  if (typeof text !== "string") return false;
  try {
    const value: unknown = JSON.parse(text);
    return !mustBeObject || (typeof value === "object" && value !== null);
  } catch {
    return false;
  }
}

/** Returns the parsed JSON of a field, or `otherwise` if the field is absent or is not JSON. */
export function parsedOr(otherwise: unknown, text: string | null | undefined): unknown {
  if (text == null) return otherwise ?? undefined;
  return valueOr<unknown>(() => JSON.parse(text), otherwise);
}

/** Returns the texts of a list; none for any other value. */
export function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
}

/** BullMQ's queue, which returns a job that it cannot read without its unreadable fields. */
export class ReadableQueue extends ObjectDataQueue {
  #read: ((id: string) => Promise<JobRecord | undefined>) | undefined;

  /** Sets the function that reads the record of a job that BullMQ cannot read. */
  readBy(read: (id: string) => Promise<JobRecord | undefined>): this {
    this.#read = read;
    return this;
  }

  override async getJob(id: string): ReturnType<ObjectDataQueue["getJob"]> {
    try {
      return await super.getJob(id);
    } catch (error) {
      // JSON.parse throws a SyntaxError. BullMQ throws a TypeError for JSON that is not an object.
      if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
      const record = await this.#read?.(id);
      if (record === undefined) return undefined;
      const { name, timestamp, attemptsMade, attemptsStarted } = record;
      const readable = {
        id,
        name,
        timestamp,
        attemptsMade,
        attemptsStarted,
        data: "{}",
        opts: {},
        progress: 0,
      };
      return Job.fromJSON(this, readable as unknown as JobJson, id);
    }
  }
}
