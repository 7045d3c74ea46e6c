/**
 * What a function can ask and say while it runs on a thread. The state hangs off `globalThis`, because the
 * copy of this module that the function imports need not be the copy that started it (a bundle's, vitest's).
 */
import type { AsyncLocalStorage } from "node:async_hooks";
import { CancelledError, currentTask, reportProgress as reportTaskProgress } from "@taskloom/loop";

/** The call that runs, as the functions in it see it. */
export interface RunningCall {
  /** Asked to stop? Reads shared memory, so it is true as soon as it was asked, even in a busy loop. */
  isCancelled(): boolean;
  cancelMessage(): string | undefined;
  signal(): AbortSignal;
  reportProgress(value: unknown): void;
}

const key = Symbol.for("taskloom.threadCall");
/** Where `@taskloom/loop` looks when progress is reported outside any task. */
const progressKey = Symbol.for("taskloom.outsideProgress");
const scope = globalThis as unknown as {
  [key]?: AsyncLocalStorage<RunningCall>;
  [progressKey]?: (value: unknown) => void;
};

export function installThreadCalls(store: AsyncLocalStorage<RunningCall>): void {
  scope[key] = store;
  scope[progressKey] = (value) => store.getStore()?.reportProgress(value);
}

/** Runs `fn` as a part of a call. */
export function runAsCall<R>(call: RunningCall, fn: () => R): R {
  const store = scope[key];
  return store === undefined ? fn() : store.run(call, fn);
}

function runningCall(): RunningCall | undefined {
  return scope[key]?.getStore();
}

function taskHere(): ReturnType<typeof currentTask> | null {
  try {
    return currentTask();
  } catch {
    return null;
  }
}

/**
 * Throws when this call was asked to stop; a long synchronous function calls it now and then (it costs some
 * 20 ns). Outside a thread it looks at the current task, so the same function works in both places.
 *
 * @throws CancelledError
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
 * The signal that is aborted when this call is asked to stop, for APIs that take one (`fetch`, streams,
 * timers). It can fire only while the thread's event loop runs; a busy loop asks `checkCancelled`.
 * Outside a thread it is the current task's.
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
 * Tells whoever listens to the task (`task.onProgress`) how far this call is. What comes faster than a
 * reader can use is thinned out: the latest value gets through, and always the last one. That of
 * `@taskloom/loop` does the same here.
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
