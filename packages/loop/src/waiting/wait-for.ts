import { CancelledError, TimeoutError } from "../errors.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { ensureFuture, requireStrand } from "../task/current.ts";
import type { Future } from "../task/future.ts";
import { adopt, openAwaitable } from "../task/open.ts";
import type { Startable } from "../task/open.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import { within } from "./timeout.ts";

/**
 * Waits for `work`, at most `ms` milliseconds (null: without limit). If the time is up, `waitFor` cancels the
 * work, waits for its end, and throws a TimeoutError. If the work returns or throws another error in spite of
 * the cancellation, that outcome counts. `shield(work)` protects the work from the cancellation. With 0 or
 * less, a coroutine is not started.
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

/**
 * Cancels a future and waits until it is done. The future is not awaited itself, so the wait can be
 * cancelled.
 */
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
