import { SEAL_FLAG, cancelReasonIn } from "../contract/cancellation.ts";

/**
 * The ends of jobs that were decided before their start. They leave BullMQ's field, by which BullMQ's rules would fail the
 * job: the processor of the lane ends it.
 */
const ends = new WeakMap<object, string>();

/** The start of the deferred failure of a job whose record cannot be read. The reason follows it. */
const UNREADABLE_FLAG = "tl:unreadable:";

export function unreadableFailure(why: string): string {
  return `${UNREADABLE_FLAG}${why}`;
}

/** Returns why the record of a job that was just taken cannot be read; undefined for a readable job. */
export function unreadableReason(job: object): string | undefined {
  const end = ends.get(job);
  return end?.startsWith(UNREADABLE_FLAG) === true ? end.slice(UNREADABLE_FLAG.length) : undefined;
}

/** Removes the decided end from a job before a worker runs the job, and keeps it for the functions below. */
export function takeDeferredEnd(job: { deferredFailure?: string }): void {
  if (!job.deferredFailure) return;
  if (!job.deferredFailure.startsWith(SEAL_FLAG)) ends.set(job, job.deferredFailure);
  Reflect.deleteProperty(job, "deferredFailure");
}

/** Returns the reason of a cancel for a job that was just taken; undefined if the job is not cancelled. */
export function cancelReasonOf(job: object): string | undefined {
  return cancelReasonIn(ends.get(job));
}

/** Returns why a job that was just taken has failed already, as by a failed child; undefined if it has not. */
export function failureOf(job: object): string | undefined {
  const end = ends.get(job);
  return cancelReasonIn(end) === undefined ? end : undefined;
}
