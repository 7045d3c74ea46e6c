import { CancelledError } from "../errors.ts";
import { Future } from "./future.ts";
import { NATIVE } from "./states.ts";
import type { Strand } from "./strand.ts";

/** The options of every function that waits. */
export interface SignalOption {
  /** A signal whose abort ends the wait as a cancellation does. */
  signal?: AbortSignal | undefined;
}

/**
 * Returns the CancelledError for an aborted signal: the signal's reason if it is a CancelledError, else a new
 * one with the reason's message.
 */
export function cancellationOf(signal: AbortSignal): CancelledError {
  const reason: unknown = signal.reason;
  if (reason instanceof CancelledError) return reason;
  const message = reason instanceof Error ? reason.message : String(reason);
  return new CancelledError(message, { cause: reason });
}

/**
 * Returns a Future that is cancelled when `signal` is aborted. The caller awaits it, or passes it to `wait`
 * together with other work.
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
  const refusal = future._loop._refusal("fromSignal()");
  if (refusal !== null) throw refusal;
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

/**
 * Cancels a future or task when `signal` is aborted, with the message of the signal's reason.
 *
 * ```ts
 * import { cancelOnAbort, createTask, run, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const task = createTask(sleep(60_000));
 *   cancelOnAbort(task, AbortSignal.timeout(5));
 *   await task.catch(() => {});
 *   console.log(task.cancelled()); // true
 * });
 * ```
 */
export function cancelOnAbort(future: Future<unknown>, signal: AbortSignal): void {
  const abort = (): void => {
    future.cancel(cancellationOf(signal).message);
  };
  if (signal.aborted) {
    abort();
    return;
  }
  signal.addEventListener("abort", abort, { once: true });
  future.addDoneCallback(() => signal.removeEventListener("abort", abort));
}

/**
 * Runs `inner`; an abort of `signal` cancels it in `strand`. The strand's count of cancel requests is
 * unchanged at the end.
 */
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
