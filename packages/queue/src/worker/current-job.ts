import { AsyncLocalStorage } from "node:async_hooks";
import { carryToThreads } from "@taskloom/offload/carried-stores";
import { decodeValue } from "../wire/decode.ts";
import { encodeValue } from "../wire/encode.ts";

/** What a task can know and say of the job that it runs as. */
export interface CurrentJob {
  readonly id: string;
  /** 1 at the first try. */
  readonly attempt: number;
  /** When the job is of no more use, as `Date.now()` milliseconds; undefined without a deadline. */
  readonly deadline: number | undefined;
  /** What the children of a flow's parent gave, in their order; empty without children. */
  readonly childResults: readonly unknown[];
  /**
   * Adds a line to the job's log, which `RemoteTask.logs()` and the dashboard show. A job ends after its lines are
   * stored, awaited or not. Awaiting it means that the line is stored; on a thread, that it is on its way.
   */
  log(line: string): Promise<void>;
}

const storage = new AsyncLocalStorage<CurrentJob>();

/** A job as it travels to a thread. */
interface SentJob extends Omit<CurrentJob, "childResults" | "log"> {
  /** Encoded, since structured clone would strip errors and buffers; undefined without children. */
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
    return {
      ...job,
      childResults: childResults === undefined ? [] : (decodeValue(childResults) as unknown[]),
      // A promise, because an error of `send` has to be a rejection, as on the loop.
      log: async (line) => send(line),
    };
  },
  onMessage: (job, line) => void job.log(line as string).catch(() => {}),
});

/**
 * The job that the calling task runs as, on the loop or on a thread; undefined when it was called directly, and not by
 * a worker. A function that a job calls with `toThread` runs as that job too.
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
