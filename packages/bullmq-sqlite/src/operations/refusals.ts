/** BullMQ's codes of operations that its rules refuse. The backend makes BullMQ's errors of them. */
export const MISSING_JOB = -1;
export const MISSING_LOCK = -2;
export const NOT_IN_STATE = -3;
export const PENDING_CHILDREN = -4;
export const MISSING_PARENT = -5;
export const OTHER_LOCK = -6;
/** The job has another parent. */
export const OTHER_PARENT = -7;
export const BELONGS_TO_SCHEDULER = -8;
export const FAILED_CHILDREN = -9;
/** A scheduler's next run has the id of another job. */
export const ID_COLLISION = -10;
/** A scheduler's next runs have the ids of other jobs. */
export const SLOTS_BUSY = -11;

/** The results of a removal of a queue that is refused. */
export const NOT_PAUSED = -1;
export const HAS_ACTIVE = -2;
