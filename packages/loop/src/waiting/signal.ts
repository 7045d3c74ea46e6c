import { CancelledError } from "../errors.ts";
import { Future } from "../task/future.ts";
import { NATIVE } from "../task/requests.ts";
import type { Strand } from "../task/strand.ts";

/** Options of every function that waits. */
export interface SignalOption {
  /** Gives the waiting up, as a cancellation would, when it is aborted. */
  signal?: AbortSignal | undefined;
}

/** The CancelledError for a signal that was aborted: its reason if that is one, else one that tells it. */
export function cancellationOf(signal: AbortSignal): CancelledError {
  const reason: unknown = signal.reason;
  if (reason instanceof CancelledError) return reason;
  const message = reason instanceof Error ? reason.message : String(reason);
  return new CancelledError(message, { cause: reason });
}

/**
 * A Future that is cancelled when `signal` is aborted: `await` it, or give it to `wait` beside other work.
 *
 * ```ts
 * import { fromSignal, run, wait, createTask, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const stop = fromSignal(AbortSignal.timeout(5));
 *   const { done } = await wait([stop, createTask(sleep(60_000))], { returnWhen: "FIRST_COMPLETED" });
 *   console.log(done.has(stop)); // true
 * });
 * ```
 */
export function fromSignal(signal: AbortSignal): Future<never> {
  const future = new Future<never>();
  const abort = (): void => {
    future.cancel(cancellationOf(signal).message);
  };
  if (signal.aborted) {
    abort();
    return future;
  }
  signal.addEventListener("abort", abort, { once: true });
  const loop = future._loop;
  loop._beginOutside();
  future.addDoneCallback(() => {
    signal.removeEventListener("abort", abort);
    loop._endOutside();
  });
  return future;
}

/** Runs `inner` so that aborting `signal` cancels it in `strand`; the counts are as before when it ends. */
export function* underSignal<T>(
  strand: Strand,
  signal: AbortSignal | undefined,
  inner: Iterable<never, T>,
): Generator<never, T, unknown> {
  if (signal === undefined) return yield* inner;
  if (signal.aborted) throw cancellationOf(signal);
  let isAborted = false;
  const abort = (): void => {
    isAborted = true;
    strand.cancel(cancellationOf(signal).message);
  };
  signal.addEventListener("abort", abort, { once: true });
  try {
    const value = yield* inner;
    if (isAborted && strand._pending === NATIVE) throw cancellationOf(signal);
    return value;
  } finally {
    signal.removeEventListener("abort", abort);
    if (isAborted) strand._withdraw();
  }
}
