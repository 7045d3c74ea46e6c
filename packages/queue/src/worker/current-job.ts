import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import { carryToThreads } from "@taskloom/offload/carried-stores";
import { decodeValue } from "../wire/decode.ts";
import { encodeValue } from "../wire/encode.ts";

/** The job as which a task runs, seen from within the task. */
export interface CurrentJob {
  readonly id: string;
  /** The number of this attempt; the first is 1. */
  readonly attempt: number;
  /** The time after which the result is of no use, in `Date.now()` milliseconds; undefined without a deadline. */
  readonly deadline: number | undefined;
  /** The results of the children of a flow's parent, in their order; empty without children. */
  readonly childResults: readonly unknown[];
  /**
   * Adds a line to the job's log, which `RemoteTask.logs()` and the dashboard show. The promise resolves when the line is
   * stored; on a thread, when the line is on its way. The job ends after all its lines are stored, awaited or not.
   */
  log(line: string): Promise<void>;
}

const storage = new AsyncLocalStorage<CurrentJob>();

/** A job as it is sent to a thread. */
interface SentJob extends Omit<CurrentJob, "childResults" | "log"> {
  /** Encoded, since structured clone would lose parts of errors and buffers; undefined without children. */
  readonly childResults: unknown;
}

carryToThreads<CurrentJob>(storage, "taskloom.job", {
  inject: ({ id, attempt, deadline, childResults }): SentJob => ({
    id,
    attempt,
    deadline,
    childResults: childResults.length === 0 ? undefined : encodeValue(childResults),
  }),
  extract(carried, send) {
    const { childResults, ...job } = carried as SentJob;
    const results = childResults === undefined ? [] : decodeValue(childResults);
    return {
      ...job,
      childResults: Array.isArray(results) ? results : [],
      // An async function, so that an error of `send` becomes a rejection, as on the loop.
      log: async (line) => send(line),
    };
  },
  onMessage: (job, line) => void job.log(line as string).catch(() => {}),
});

/**
 * Returns the job as which the calling task runs, on the loop or on a thread; undefined if the task was called directly
 * and not by a worker. A function that a job calls with `toThread` runs as the same job.
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

/** Calls `fn` with `job` as the current job of `fn` and of everything that it starts. */
export function runAsJob<T>(job: CurrentJob, fn: () => T): T {
  // A scope restores the context without a copy. `run` copies all stores, once for its beginning and once for its end.
  return new AsyncResource("taskloom.job").runInAsyncScope(() => {
    storage.enterWith(job);
    return fn();
  });
}
