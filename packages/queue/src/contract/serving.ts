/** A live worker: the queues that it serves, and the tasks that it knows, with their versions. */
export interface ServingWorker {
  readonly id: string;
  readonly queues: readonly string[];
  readonly tasks: Readonly<Record<string, number>>;
  /** The machine and the process of the worker; undefined in the record of an earlier release. */
  readonly process?: { readonly host: string; readonly pid: number };
}

/** The interval at which a worker stores that it serves its queues. */
export const SERVE_INTERVAL_MS = 5_000;
/**
 * The time for which such a record is valid. A worker that has stored no record for so long is dead or cut off. A blocked
 * loop, a busy machine or a short outage of the engine delays a record, so a dozen of them may be lost before a queue
 * counts as not served. A worker that stops removes its record at once.
 */
export const SERVING_TTL_MS = 60_000;
