/** The states of a job as the table stores them. A prioritized job is a waiting job with a priority above 0. */
export const WAITING = 0;
export const ACTIVE = 1;
export const COMPLETED = 2;
export const FAILED = 3;
export const DELAYED = 4;
export const WAITING_CHILDREN = 5;
/** A kind of counter and no stored state: waiting with a priority. */
export const PRIORITIZED = 6;

/** The stored states by BullMQ's names. Jobs that are `paused` exist in queues of earlier versions of BullMQ only. */
export const STATE_NUMBERS: Readonly<Record<string, number>> = {
  wait: WAITING,
  waiting: WAITING,
  prioritized: PRIORITIZED,
  active: ACTIVE,
  completed: COMPLETED,
  failed: FAILED,
  delayed: DELAYED,
  "waiting-children": WAITING_CHILDREN,
};

/** BullMQ's names by the number of the state or counter. */
export const STATE_NAMES = [
  "waiting",
  "active",
  "completed",
  "failed",
  "delayed",
  "waiting-children",
  "prioritized",
] as const;

/** The states of a child in the records of its parent. */
export const PENDING_CHILD = 0;
export const PROCESSED_CHILD = 1;
export const IGNORED_CHILD = 2;
export const FAILED_CHILD = 3;
