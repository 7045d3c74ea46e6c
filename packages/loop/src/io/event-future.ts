import type { EventEmitter } from "node:events";
import type { Loop } from "../kernel/loop.ts";
import type { Future } from "../task/future.ts";

/**
 * Returns a Future for the first event of `succeeds` or `fails` that `emitter` emits. The listeners are
 * removed when the future is done.
 */
export function eventFuture(
  loop: Loop,
  emitter: EventEmitter,
  succeeds: string,
  fails: readonly string[] = ["error"],
): Future<unknown> {
  const future = loop.createFuture<unknown>();
  const succeed = (value: unknown): void => {
    if (!future.done()) future.setResult(value);
  };
  const fail = (error: unknown): void => {
    if (future.done()) return;
    future.setException(
      error instanceof Error ? error : new Error("The connection was closed before it was ready"),
    );
  };
  emitter.on(succeeds, succeed);
  for (const event of fails) emitter.on(event, fail);
  loop._beginOutside();
  future.addDoneCallback(() => {
    emitter.off(succeeds, succeed);
    for (const event of fails) emitter.off(event, fail);
    loop._endOutside();
  });
  return future;
}

/** Handles the emitter's errors without an effect, so that Node does not throw them. */
export function ignoreErrors(emitter: EventEmitter): void {
  emitter.on("error", () => {});
}
