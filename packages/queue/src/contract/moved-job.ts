/** The errors by which a processor reports that its job is elsewhere. BullMQ has errors of these names for the same purpose. */

/** The job was moved to the delayed jobs. */
export class DelayedError extends Error {
  override readonly name = "DelayedError";
}

/** The job was moved to the waiting jobs, or belongs to another worker. */
export class WaitingError extends Error {
  override readonly name = "WaitingError";
}
