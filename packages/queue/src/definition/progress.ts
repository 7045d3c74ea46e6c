import { reportProgress } from "@taskloom/loop";
import { TaskOptionsError } from "../errors.ts";

/** The progress of a task, with the type of its values; made by {@link defineProgress}. */
export interface Progress<P> {
  /**
   * Reports progress to the submitter of the running job, from the loop and from threads. Without a job, as in a direct call of
   * the task, the listeners of the running loop task receive it.
   */
  report(value: P): void;
}

/**
 * Defines the progress of a task. The body reports by it. With the option `progress` of `defineTask`, the listeners of the
 * submitter receive values of its type. Values are not checked at run time: they travel as `reportProgress` sends them.
 *
 * @example
 * ```ts
 * import { TaskQueue, TaskWorker, defineProgress, defineTask } from "@taskloom/queue";
 *
 * const copied = defineProgress<{ done: number; parts: number }>();
 * const copy = defineTask({ name: "file.copy", progress: copied }, async (parts: number) => {
 *   for (let done = 1; done <= parts; done++) copied.report({ done, parts });
 * });
 * const worker = new TaskWorker({ engine: "memory:", tasks: [copy] }).run();
 * await using queue = new TaskQueue({ engine: "memory:" });
 * const task = queue.submit(copy, 2);
 * task.onProgress(({ done, parts }) => console.log(`${done} of ${parts}`)); // 1 of 2, 2 of 2
 * await task;
 * worker.cancel();
 * ```
 */
export function defineProgress<P>(): Progress<P> {
  return { report: (value) => reportProgress(value) };
}

/** @throws {@link TaskOptionsError} for a value that {@link defineProgress} has not made. */
export function checkProgress(task: string, progress: unknown): void {
  if (progress === undefined) return;
  if (
    typeof progress === "object" &&
    progress !== null &&
    typeof Reflect.get(progress, "report") === "function"
  )
    return;
  throw new TaskOptionsError(
    `Expected \`progress\` of task ${task} to be made by defineProgress, got ${typeof progress}`,
  );
}
