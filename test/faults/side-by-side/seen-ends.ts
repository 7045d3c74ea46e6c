import type { QueueEvents } from "bullmq";

/** One end of a job: its result, or the message of its failure. */
export type SeenEnd = { readonly value: unknown } | { readonly failure: string };

/** The ends that BullMQ's QueueEvents reports, by the id of the job. */
export class SeenEnds {
  readonly #ends = new Map<string, SeenEnd[]>();
  #count = 0;

  constructor(events: QueueEvents) {
    events.on("completed", ({ jobId, returnvalue }) => this.#add(jobId, { value: returnvalue }));
    events.on("failed", ({ jobId, failedReason }) => this.#add(jobId, { failure: failedReason }));
  }

  #add(id: string, end: SeenEnd): void {
    this.#count++;
    const ends = this.#ends.get(id);
    if (ends === undefined) this.#ends.set(id, [end]);
    else ends.push(end);
  }

  /** The number of ends, of which a job should have one. */
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
