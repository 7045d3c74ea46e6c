import type { EventEmitter } from "node:events";

/** The part of an answer that shows whether its client is still there. */
export type Closable = Pick<EventEmitter, "once"> & {
  readonly closed?: boolean;
  readonly destroyed?: boolean;
};

/**
 * Calls `listener` when an answer is sent or cut, and at once if it is cut already: a client can leave while its permission
 * is checked, and the event does not come again.
 */
export function onClosed(answer: Closable, listener: () => void): void {
  if (answer.closed === true || answer.destroyed === true) listener();
  else answer.once("close", listener);
}
