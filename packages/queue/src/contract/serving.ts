/** A live worker as others see it: the queues that it serves, and the tasks that it knows, with their versions. */
export interface ServingWorker {
  readonly id: string;
  readonly queues: readonly string[];
  readonly tasks: Readonly<Record<string, number>>;
}

/** How often a worker stores that it serves its queues; milliseconds. */
export const SERVE_INTERVAL_MS = 5_000;
/**
 * How long that holds, in milliseconds; a worker that has stored nothing for so long is dead or cut off. A loop that a
 * task holds, a busy machine or an engine that is away for a moment delays the next record: each of a dozen may be lost
 * before others hear that nobody serves a queue. A worker that stops removes its record at once.
 */
export const SERVING_TTL_MS = 60_000;
