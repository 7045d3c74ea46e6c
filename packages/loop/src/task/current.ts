import type { Loop } from "../kernel/loop.ts";
import { currentLoop, getRunningLoop } from "./running.ts";
import { ArgumentError, UsageError } from "../errors.ts";
import { describe } from "../describe.ts";
import { Coroutine } from "./coroutine.ts";
import { Future } from "./future.ts";
import { currentStrand } from "./current-strand.ts";
import { isAwaitable } from "./open.ts";
import type { Startable } from "./open.ts";
import type { DeadlineScope, Strand } from "./strand.ts";
import type { Task, TaskOptions } from "./task.ts";

/**
 * The strand of the running code.
 *
 * @param what names the caller in the UsageError that is thrown outside a task.
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
 * The task that is running now, or null in a callback. Throws a UsageError outside any loop.
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
 * The tasks of a loop (by default the running one) that are not done, in the order they were made.
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
 * Makes a Task of something to await, or of a function that gives it, and schedules its first step. Outside
 * any running loop, the process's default loop runs it.
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
 * A Future as it is; a Task of anything else that can be awaited. Throws an ArgumentError for what cannot,
 * and a UsageError for a future of a loop other than `loop`.
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
 * The deadline of the nearest enclosing `timeout`, in milliseconds of the loop's `time()`: the earliest of
 * those that are open. Undefined when there is none. Tasks made by `gather` and in a `taskGroup` are enclosed
 * by what encloses those; a task made by `createTask` outlives its maker's scopes, and is not.
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
 * Where progress goes that is reported outside any task: `@taskloom/offload` puts it on its threads, for the call that
 * runs there. Off `globalThis`, since the copy of this module that a call imports need not be the thread's own.
 */
const progressKey = Symbol.for("taskloom.outsideProgress");
const scope = globalThis as unknown as { [progressKey]?: (value: unknown) => void };

/**
 * Reports progress of the current task, to whoever listens with `task.onProgress`; on a thread of `@taskloom/offload`,
 * of the call that runs there. Elsewhere it does nothing.
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
  if (strand === null) scope[progressKey]?.(value);
  else strand._task.reportProgress(value);
}
