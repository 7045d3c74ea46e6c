import { AsyncLocalStorage } from "node:async_hooks";

/** What a task can know and say of the job that it runs as. */
export interface CurrentJob {
  readonly id: string;
  /** 1 at the first try. */
  readonly attempt: number;
  /** When the job is of no more use, as `Date.now()` milliseconds; undefined without a deadline. */
  readonly deadline: number | undefined;
  /** What the children of a flow's parent gave, in their order; empty without children. */
  readonly childResults: readonly unknown[];
  /** Adds a line to the job's log, which `RemoteTask.logs()` and the dashboard show. */
  log(line: string): Promise<void>;
}

const storage = new AsyncLocalStorage<CurrentJob>();

/**
 * The job that the calling task runs as; undefined when it was called directly, and not by a worker.
 *
 * @example
 * ```ts
 * import { currentJob, defineTask } from "@taskloom/queue";
 *
 * const report = defineTask({ name: "report" }, async (path: string) => {
 *   await currentJob()?.log(`reading ${path}`);
 *   return currentJob()?.attempt ?? 0;
 * });
 * console.log(await report("a.csv")); // 0
 * ```
 */
export function currentJob(): CurrentJob | undefined {
  return storage.getStore();
}

/** Calls `fn` so that it, and all that it starts, sees `job` as its own. */
export function runAsJob<T>(job: CurrentJob, fn: () => T): T {
  return storage.run(job, fn);
}
