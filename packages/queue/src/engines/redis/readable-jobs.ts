import { Job } from "bullmq";
import type { JobJson } from "bullmq";
import { attempt } from "../../attempt.ts";
import { unreadableFailure } from "../../bullmq/deferred-end.ts";
import { ObjectDataQueue } from "../../bullmq/object-data-queue.ts";
import type { JobRecord } from "../../contract/job-record.ts";
import type { ScriptRunner } from "../../bullmq/end-batches.ts";

/** The fields of a job that BullMQ parses as soon as it has read one; a text that is not JSON is an error there. */
const parsedFields: Readonly<Record<string, string>> = { opts: "{}", progress: "0", parent: "null" };

/**
 * Has a worker take a job whose options or progress are not JSON: any client of this Redis can have written it. BullMQ
 * would throw when it has moved the job to the active ones, where it would lapse and be taken again for ever.
 *
 * The faulty fields are replaced by empty ones in the copy that this worker gets, and its runner fails the job.
 */
export function takeUnreadable(backend: ScriptRunner): void {
  const run = backend.execCommand.bind(backend);
  backend.execCommand = async (client, name, args) => {
    const result = await run(client, name, args);
    if (Array.isArray(result) && Array.isArray(result[0])) mend(result[0] as unknown[]);
    return result;
  };
}

/** A job as Redis returns it: names and values in turn. */
function mend(fields: unknown[]): void {
  const faults: string[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] as string;
    const empty = parsedFields[name];
    if (empty === undefined || isJson(fields[at + 1], name === "opts")) continue;
    faults.push(`its ${name} is not JSON`);
    fields[at + 1] = empty;
  }
  if (faults.length > 0) fields.push("defa", unreadableFailure(faults.join(", ")));
}

function isJson(text: unknown, mustBeObject: boolean): boolean {
  if (text === "" || text == null) return true;
  try {
    const value: unknown = JSON.parse(text as string);
    return !mustBeObject || (typeof value === "object" && value !== null);
  } catch {
    return false;
  }
}

/** A field's JSON, or something else where the field is absent or was written by somebody who writes no JSON. */
export function parsedOr(otherwise: unknown, text: string | null | undefined): unknown {
  if (text == null) return otherwise ?? undefined;
  return attempt(() => JSON.parse(text) as unknown, otherwise);
}

export function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
}

/** BullMQ's queue, whose look at one job gives an unreadable record without the fields that cannot be read. */
export class ReadableQueue extends ObjectDataQueue {
  #read: ((id: string) => Promise<JobRecord | undefined>) | undefined;

  /** @param read reads the record of a job that BullMQ cannot read. */
  readBy(read: (id: string) => Promise<JobRecord | undefined>): this {
    this.#read = read;
    return this;
  }

  override async getJob(id: string): ReturnType<ObjectDataQueue["getJob"]> {
    try {
      return await super.getJob(id);
    } catch (error) {
      // JSON.parse throws the first; BullMQ throws the second for a value that is JSON and no object.
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
