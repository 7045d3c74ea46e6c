import { Job } from "bullmq";
import type { JobJson } from "bullmq";
import { valueOr } from "../../value-or.ts";
import { ObjectDataQueue } from "../../bullmq/object-data-queue.ts";
import { mendFields } from "./driver/mend-fields.ts";
import type { JobRecord } from "../../contract/job-record.ts";

/** The part of BullMQ's backend for Redis that is used here: the one method that runs all of its scripts. */
export interface ScriptRunner {
  execCommand(
    client: unknown,
    name: string,
    args: readonly (string | number | Buffer | undefined)[],
  ): Promise<unknown>;
}

/**
 * Lets a worker take a job whose options or progress are not JSON, which any client of this Redis can have written. BullMQ
 * would throw after it has moved the job to `active`, where the job's lock would lapse, and so on for ever.
 *
 * The faulty fields are empty in the copy that this worker receives, and its runner fails the job. This function is for
 * BullMQ's own commands; the driver of a lane mends the records that it claims.
 */
export function takeUnreadable(backend: ScriptRunner): void {
  const run = backend.execCommand.bind(backend);
  backend.execCommand = async (client, name, args) => {
    const result = await run(client, name, args);
    if (Array.isArray(result) && Array.isArray(result[0])) mendFields(result[0]);
    return result;
  };
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
