import { CANCEL_FLAG, SEAL_FLAG } from "../contract/cancellation.ts";

/** How jobs were to end before they started, apart from BullMQ's field for it, which would have BullMQ fail them itself. */
const ends = new WeakMap<object, string>();

/** The text of a deferred failure that marks a job whose record is not that of one; the reason follows it. */
const unreadableFlag = "tl:unreadable:";

export function unreadableFailure(why: string): string {
  return `${unreadableFlag}${why}`;
}

/** Why a job that a worker just took is not the record of one; undefined for a job that can be read. */
export function unreadableReason(job: object): string | undefined {
  const end = ends.get(job);
  return end?.startsWith(unreadableFlag) === true ? end.slice(unreadableFlag.length) : undefined;
}

/** Takes what is said of a job's end from the job, before a worker runs it. */
export function takeDeferredEnd(job: { deferredFailure?: string }): void {
  if (!job.deferredFailure) return;
  if (!job.deferredFailure.startsWith(SEAL_FLAG)) ends.set(job, job.deferredFailure);
  Reflect.deleteProperty(job, "deferredFailure");
}

/** Why a job that a worker just took is cancelled; undefined when it is not. */
export function cancelReasonOf(job: object): string | undefined {
  const end = ends.get(job);
  return end?.startsWith(CANCEL_FLAG) === true ? end.slice(CANCEL_FLAG.length) : undefined;
}

/** Why a job that a worker just took has failed already, such as a child of it; undefined when it has not. */
export function failureOf(job: object): string | undefined {
  const end = ends.get(job);
  return end?.startsWith(CANCEL_FLAG) === true ? undefined : end;
}
