import type { QueueEvents } from "bullmq";
import pg from "pg";
import { LANE } from "./plain-classes.ts";

/** One end of a job: its result, or the message of its failure. */
export type SeenEnd = { readonly value: unknown } | { readonly failure: string };

/** The ends of jobs by the id of the job, of which each should have one. */
export class SeenEnds {
  readonly #ends = new Map<string, SeenEnd[]>();
  #count = 0;

  add(id: string, end: SeenEnd): void {
    this.#count++;
    const ends = this.#ends.get(id);
    if (ends === undefined) this.#ends.set(id, [end]);
    else ends.push(end);
  }

  /** The number of ends. */
  get count(): number {
    return this.#count;
  }

  /** The number of jobs with an end. */
  get jobs(): number {
    return this.#ends.size;
  }

  of(id: string): readonly SeenEnd[] {
    return this.#ends.get(id) ?? [];
  }
}

/** Returns the ends that BullMQ's QueueEvents reports, which grow with its reports. */
export function reportedEnds(events: QueueEvents): SeenEnds {
  const ends = new SeenEnds();
  events.on("completed", ({ jobId, returnvalue }) => ends.add(jobId, { value: returnvalue }));
  events.on("failed", ({ jobId, failedReason }) => ends.add(jobId, { failure: failedReason }));
  return ends;
}

/** Returns the ends in BullMQ's table of events on PostgreSQL. */
export async function storedEnds(url: string): Promise<SeenEnds> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ id: string; value: string | null; failure: string | null }>(
    `SELECT data->>'jobId' AS id, data->>'returnvalue' AS value, data->>'failedReason' AS failure FROM bullmq.event
      WHERE queue = $1 AND event IN ('completed', 'failed') ORDER BY event.id`,
    [LANE],
  );
  await client.end();
  const ends = new SeenEnds();
  for (const { id, value, failure } of rows)
    ends.add(id, failure === null ? { value: JSON.parse(value ?? "null") } : { failure });
  return ends;
}
