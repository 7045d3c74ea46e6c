import { ensureFuture } from "../task/current.ts";
import { FULFILLED } from "../task/states.ts";
import { Future } from "../task/future.ts";
import type { Startable } from "../task/open.ts";

/**
 * Waits for work that goes on if the waiter is cancelled. Keep a reference to the task if its outcome matters
 * after a cancellation.
 *
 * ```ts
 * import { createTask, run, shield, sleep, waitFor } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const task = createTask(sleep(10, "saved"));
 *   await waitFor(shield(task), 1).catch(() => console.log("too slow, but it goes on"));
 *   console.log(await task); // saved
 * });
 * ```
 */
export function shield<T>(work: Startable<T>): Future<T> {
  const inner = ensureFuture(work);
  if (inner.done()) return inner;
  const outer = new Future<T>({ loop: inner._loop });
  const innerDone = (): void => {
    if (outer.cancelled()) {
      inner._retrieved();
      return;
    }
    if (inner.cancelled()) outer.cancel();
    else if (inner._state === FULFILLED) outer.setResult(inner._value as T);
    else outer.setException(inner._error());
  };
  inner._addLink(innerDone, outer);
  outer.addDoneCallback(() => {
    if (!inner.done()) inner.removeDoneCallback(innerDone);
  });
  return outer;
}
