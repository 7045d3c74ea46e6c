/** Questions and reports of a function that runs on a thread. */
import type { AsyncLocalStorage } from "node:async_hooks";
import { CancelledError, currentTask, reportProgress as reportTaskProgress } from "@taskloom/loop";
import { receiveOutsideProgress } from "@taskloom/loop/outside-progress";
import { sharedState } from "./shared-state.ts";

/** The running call, as its functions see it. */
export interface RunningCall {
  /** Returns true if the call was asked to stop. This reads shared memory, so it works in a busy loop, too. */
  isCancelled(): boolean;
  cancelMessage(): string | undefined;
  signal(): AbortSignal;
  reportProgress(value: unknown): void;
}

/** The calls of this thread; without a store on the main thread. */
const calls: { store?: AsyncLocalStorage<RunningCall> } = sharedState("taskloom.threadCall", () => ({}));

/** Prepares this thread: `store` holds the running call. */
export function installThreadCalls(store: AsyncLocalStorage<RunningCall>): void {
  calls.store = store;
  receiveOutsideProgress((value) => store.getStore()?.reportProgress(value));
}

/** Runs `fn` as a part of a call, and returns its result. */
export function runAsCall<R>(call: RunningCall, fn: () => R): R {
  const { store } = calls;
  return store === undefined ? fn() : store.run(call, fn);
}

function runningCall(): RunningCall | undefined {
  return calls.store?.getStore();
}

function taskHere(): ReturnType<typeof currentTask> {
  try {
    return currentTask();
  } catch {
    return null;
  }
}

/**
 * Throws if this call was asked to stop. A long synchronous function calls it from time to time; a call costs some
 * 20 ns. Outside a thread it checks the current task, so the same function works in both places.
 *
 * @throws {@link CancelledError} if the call was asked to stop
 *
 * ```ts
 * import { checkCancelled } from "@taskloom/offload";
 *
 * export function countPrimes(limit: number): number {
 *   let primes = 0;
 *   for (let n = 2; n < limit; n++) {
 *     if (n % 1024 === 0) checkCancelled();
 *     let d = 2;
 *     while (d * d <= n && n % d !== 0) d++;
 *     if (d * d > n) primes++;
 *   }
 *   return primes;
 * }
 * ```
 */
export function checkCancelled(): void {
  const call = runningCall();
  if (call !== undefined) {
    if (call.isCancelled()) throw new CancelledError(call.cancelMessage());
    return;
  }
  const task = taskHere();
  if (task && task.cancelling() > 0) throw new CancelledError();
}

/**
 * Returns the signal that is aborted when this call is asked to stop, for APIs that take a signal (`fetch`,
 * streams, timers). The signal can fire only while the thread's event loop runs; a busy loop calls
 * `checkCancelled`. Outside a thread it is the signal of the current task.
 *
 * ```ts
 * import { threadSignal } from "@taskloom/offload";
 *
 * export const load = (url: string) => fetch(url, { signal: threadSignal() }).then((r) => r.text());
 * ```
 */
export function threadSignal(): AbortSignal {
  const call = runningCall();
  if (call !== undefined) return call.signal();
  const task = taskHere();
  return task ? task.signal : new AbortController().signal;
}

/**
 * Notifies the listeners of the task (`task.onProgress`) of this call's progress. Reports that come faster than 60
 * a second are thinned out: the latest value is sent, and the last one always. `reportProgress` of
 * `@taskloom/loop` does the same on a thread.
 *
 * ```ts
 * import { reportProgress } from "@taskloom/offload";
 *
 * export function work(steps: number): void {
 *   for (let i = 1; i <= steps; i++) reportProgress(i / steps);
 * }
 * ```
 */
export function reportProgress(value: unknown): void {
  const call = runningCall();
  if (call === undefined) reportTaskProgress(value);
  else call.reportProgress(value);
}
