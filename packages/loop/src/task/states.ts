// The states are literal numbers with a union type, so that a `switch` over them can be exhaustive and a field
// for them is a small integer.

/** States of a future (`_state`). UNRETRIEVED is FAILED with an error that no code has read yet. */
export const PENDING = 0;
export const FULFILLED = 1;
export const FAILED = 2;
export const UNRETRIEVED = 3;
export const CANCELLED = 4;

export type FutureState =
  | typeof PENDING
  | typeof FULFILLED
  | typeof FAILED
  | typeof UNRETRIEVED
  | typeof CANCELLED;

/** Phases of a strand (`_phase`). In UNSTARTED the strand is in the ready queue, and its body has not begun. */
export const UNSTARTED = 0;
/** Waits for `_waiter`; once that is done, waits in the ready queue. */
export const AWAITING = 1;
/** In the ready queue, suspended in sleep(0). */
export const PAUSING = 2;
/** In the ready queue, suspended in a bare `yield`. */
export const YIELDING = 3;
/** In the ready queue, to be resumed with the error in `_thrown`: the strand misused the kernel. */
export const THROWING = 4;
/** Is stepped now. */
export const RUNNING = 5;
export const ENDED = 6;
/** AWAITING, while a cancellation is passed on. A second entry means that tasks await each other in a circle. */
export const CANCELLING = 7;
/** In the ready queue after the `async` body that it called has ended. No cancellation is thrown here, as it is no suspension. */
export const RETURNING = 8;

export type Phase =
  | typeof UNSTARTED
  | typeof AWAITING
  | typeof PAUSING
  | typeof YIELDING
  | typeof THROWING
  | typeof RUNNING
  | typeof ENDED
  | typeof CANCELLING
  | typeof RETURNING;

/** Kinds of a request to cancel that nothing has taken yet (`_pending`). requests.ts explains OWN, LATE and NATIVE. */
export const NONE = 0;
export const OWN = 1;
export const LATE = 2;
export const NATIVE = 3;

export type PendingRequest = typeof NONE | typeof OWN | typeof LATE | typeof NATIVE;
