const KEY = Symbol.for("taskloom.outsideProgress");

/** A property of `globalThis`, because one thread can have several copies of this module, and all need one receiver. */
const scope = globalThis as { [KEY]?: (value: unknown) => void };

/**
 * Sets the receiver of progress that is reported outside any task. `@taskloom/offload` sets it on its threads, for the
 * call that runs there.
 *
 * ```ts
 * import { reportProgress } from "@taskloom/loop";
 * import { receiveOutsideProgress } from "@taskloom/loop/outside-progress";
 *
 * receiveOutsideProgress((value) => console.log(value)); // halfway
 * reportProgress("halfway");
 * ```
 */
export function receiveOutsideProgress(receive: (value: unknown) => void): void {
  scope[KEY] = receive;
}

/** Passes progress on to the receiver, if there is one. */
export function reportOutsideProgress(value: unknown): void {
  scope[KEY]?.(value);
}
