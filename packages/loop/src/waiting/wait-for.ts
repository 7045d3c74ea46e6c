import { CancelledError, TimeoutError } from "../errors.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { ensureFuture, requireStrand } from "../task/current.ts";
import type { Future } from "../task/future.ts";
import { adopt, openAwaitable } from "../task/open.ts";
import type { Startable } from "../task/open.ts";
import { routine } from "./routine.ts";
import type { SignalOption } from "./signal.ts";
import { within } from "./timeout.ts";

/**
 * Waits for `work`, at most `ms` milliseconds (null: without limit). When the time is up, the work is
 * cancelled, its end is waited for, and a TimeoutError is thrown; if the work returns or throws something
 * else instead of ending as cancelled, that counts. To leave the work alone, `shield` it. With 0 or less, a
 * coroutine is not even started.
 *
 * ```ts
 * import { run, sleep, TimeoutError, waitFor } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const answer = await waitFor(sleep(60_000, "slow"), 5).catch((error) =>
 *     error instanceof TimeoutError ? "plan B" : "something else",
 *   );
 *   console.log(answer); // plan B
 * });
 * ```
 */
export function waitFor<T>(work: Startable<T>, ms: number | null, options: SignalOption = {}): Coroutine<T> {
  adopt(work);
  return routine(
    "waitFor",
    function* () {
      const strand = requireStrand("waitFor");
      if (ms === null || ms > 0) {
        const when = ms === null ? null : strand._loop.time() + ms;
        return yield* within<T>(strand, when, () => openAwaitable(strand, work));
      }
      const future = ensureFuture(work, { loop: strand._loop });
      if (future.done()) return future.result();
      yield* cancelAndWait(future);
      try {
        return future.result();
      } catch (error) {
        if (error instanceof CancelledError) throw new TimeoutError(undefined, { cause: error });
        throw error;
      }
    },
    options.signal,
  );
}

/** Cancels a future and waits until it is done. Not by awaiting it, so that the waiting itself can be cancelled. */
function* cancelAndWait(future: Future<unknown>): Generator<never, void, unknown> {
  const waiter = future._loop.createFuture<undefined>();
  const release = (): void => {
    if (!waiter.done()) waiter.setResult(undefined);
  };
  future._addLink(release, waiter);
  try {
    future.cancel();
    yield* waiter;
  } finally {
    future.removeDoneCallback(release);
  }
}
