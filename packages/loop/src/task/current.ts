import type { Loop } from "../kernel/loop.ts";
import { currentLoop, getRunningLoop } from "./running.ts";
import { ArgumentError, UsageError } from "../errors.ts";
import { reportOutsideProgress } from "../outside-progress.ts";
import { describe } from "../describe.ts";
import { Coroutine } from "./coroutine.ts";
import { Future } from "./future.ts";
import { currentStrand } from "./current-strand.ts";
import { isAwaitable } from "./open.ts";
import type { Startable } from "./open.ts";
import type { DeadlineScope, Strand } from "./strand.ts";
import type { Task, TaskOptions } from "./task.ts";

/**
 * Returns the strand of the running code.
 *
 * @param what the name of the caller, for the error.
 * @throws {@link UsageError} (`NO_TASK`) outside a task.
 */
export function requireStrand(what: string): Strand {
  const strand = currentStrand();
  if (strand === null) {
    throw new UsageError(
      "NO_TASK",
      `${what} should be used inside a task: run it with run() or createTask()`,
    );
  }
  return strand;
}

/** Returns the task of a strand. `Task` alone implements StrandTask. */
function taskOf(strand: Strand): Task<unknown> {
  return strand._task as Task<unknown>;
}

/**
 * Returns the running task, or null in a callback.
 *
 * @throws {@link UsageError} (`NO_RUNNING_LOOP`) outside any loop.
 *
 * ```ts
 * import { createTask, currentTask, run } from "@taskloom/loop";
 * await run(async () => {
 *   await createTask(async () => console.log(currentTask()?.getName()), { name: "worker" }); // worker
 * });
 * ```
 */
export function currentTask(loop?: Loop): Task<unknown> | null {
  const strand = currentStrand();
  if (strand === null) {
    if (loop === undefined) getRunningLoop();
    return null;
  }
  return loop === undefined || strand._loop === loop ? taskOf(strand) : null;
}

/**
 * Returns the unfinished tasks of a loop (by default the running loop), in the order they were made.
 *
 * ```ts
 * import { allTasks, createTask, run, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   createTask(sleep(1), { name: "other" });
 *   console.log([...allTasks()].length); // 2
 * });
 * ```
 */
export function allTasks(loop?: Loop): Set<Task<unknown>> {
  return new Set((loop ?? getRunningLoop())._tasks);
}

/**
 * Makes a Task of an awaitable, or of a function that returns one, and schedules its first step. Outside any running
 * loop, the process's default loop runs the task.
 *
 * ```ts
 * import { createTask, run, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const task = createTask(async () => {
 *     await sleep(1);
 *     return "done";
 *   });
 *   console.log(await task); // done
 * });
 * ```
 */
export function createTask<T>(work: Startable<T>, options?: TaskOptions): Task<T> {
  return currentLoop().createTask(work, options);
}

/**
 * Returns a Future unchanged, and a Task of any other awaitable.
 *
 * @throws {@link ArgumentError} if `work` cannot be awaited.
 * @throws {@link UsageError} (`WRONG_LOOP`) if `work` is a future of a loop other than `loop`.
 *
 * ```ts
 * import { ensureFuture, run, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const task = ensureFuture(sleep(1, "slept"));
 *   console.log(ensureFuture(task) === task, await task); // true slept
 * });
 * ```
 */
export function ensureFuture<T>(work: Startable<T>, options: { loop?: Loop | undefined } = {}): Future<T> {
  if (work instanceof Future) {
    if (options.loop !== undefined && options.loop !== work._loop) {
      throw new UsageError(
        "WRONG_LOOP",
        "The future belongs to a different loop than the one specified as the loop argument",
      );
    }
    return work as Future<T>;
  }
  if (typeof work !== "function" && !isAwaitable(work)) {
    throw new ArgumentError(`A Future, a coroutine or an awaitable is required, got ${describe(work)}`);
  }
  const loop = options.loop ?? currentLoop();
  try {
    return loop.createTask(work);
  } catch (error) {
    if (work instanceof Coroutine) work.close();
    throw error;
  }
}

/**
 * Returns the earliest deadline of the enclosing `timeout` scopes, in milliseconds of the loop's `time()`; undefined
 * if there is none. The scopes around a `gather` and around a `taskGroup` enclose their tasks, too. A task of
 * `createTask` outlives the scopes of its maker, so they do not enclose it.
 *
 * ```ts
 * import { currentDeadline, getRunningLoop, run, timeout } from "@taskloom/loop";
 *
 * await run(() =>
 *   timeout(1000, async () => {
 *     const left = currentDeadline()! - getRunningLoop().time();
 *     console.log(left > 900 && left <= 1000); // true
 *   }),
 * );
 * ```
 */
export function currentDeadline(): number | undefined {
  let earliest: number | undefined;
  let scope: DeadlineScope | null = currentStrand()?._scope ?? null;
  for (; scope !== null; scope = scope._outer) {
    const when = scope._deadline();
    if (when !== null && (earliest === undefined || when < earliest)) earliest = when;
  }
  return earliest;
}

/**
 * Reports progress of the current task to the listeners of `task.onProgress`. On a thread of `@taskloom/offload`,
 * reports progress of the running call. Elsewhere it does nothing.
 *
 * ```ts
 * import { createTask, reportProgress, run, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const task = createTask(async () => {
 *     await sleep(1);
 *     reportProgress({ done: 50 });
 *   });
 *   task.onProgress((value) => console.log(value)); // { done: 50 }
 *   await task;
 * });
 * ```
 */
export function reportProgress(value: unknown): void {
  const strand = currentStrand();
  if (strand === null) reportOutsideProgress(value);
  else strand._task.reportProgress(value);
}
