import { CancelledError, gather, sleep } from "@taskloom/loop";
import type { ThreadPoolExecutor } from "@taskloom/offload";
import type { BackoffOptions, JobsOptions } from "bullmq";
import { backoffDelay } from "../definition/backoff.ts";
import type { Backoff, BackoffFunction } from "../definition/backoff.ts";
import { checkEach } from "../definition/check-arguments.ts";
import type { RunnableTask } from "../definition/define-task.ts";
import { TaskArgumentsError, UnrecoverableError } from "../errors.ts";
import type { PackError, PackResult } from "../wire/pack.ts";
import { withinLimit } from "./run-limit.ts";

/** Items run one after the other for this long before the rest of the loop has a turn. */
const SLICE_MS = 5;

/** The options of each item of a pack: its attempts and its timeout are those of a job of its own. */
export interface ItemOptions {
  readonly attempts: number;
  readonly backoff: JobsOptions["backoff"] | Backoff | BackoffFunction;
  readonly timeout: number | undefined;
}

/**
 * Runs the calls of a pack: on the loop one after the other, on threads as many at once as there are threads. An error
 * fails its own item. A cancelled pack stops at once.
 */
export async function runPack(
  definition: RunnableTask,
  items: readonly (readonly unknown[])[],
  options: ItemOptions,
  threads: ThreadPoolExecutor | undefined,
): Promise<PackResult> {
  const values: unknown[] = Array.from({ length: items.length }, () => null);
  const { checked, refused } = await checkEach(definition.task, items);
  const errors: PackError[] = [...refused].map(([index, error]) => [index, error, 1]);
  const run = async (args: readonly unknown[], index: number): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      try {
        values[index] = await runItem(definition, args, index, attempt, options, threads);
        return;
      } catch (error) {
        if (error instanceof CancelledError) throw error;
        if (attempt >= options.attempts || isFinal(error)) {
          errors.push([index, error, attempt]);
          return;
        }
        const pause = await pauseAfter(attempt, options.backoff, error);
        if (pause !== undefined) await sleep(pause);
      }
    }
  };
  if (threads === undefined) await runInSlices(checked, run);
  else await gather(checked.flatMap((args, index) => (args === undefined ? [] : [() => run(args, index)])));
  errors.sort(([a], [b]) => a - b);
  // A pack without errors, which is the usual one, stores nothing for them.
  return errors.length === 0 ? { values, errors } : { values, errors, attempts: options.attempts };
}

/** Runs items one after the other. After each slice of time, the rest of the loop has a turn. */
async function runInSlices(
  checked: readonly (readonly unknown[] | undefined)[],
  run: (args: readonly unknown[], index: number) => Promise<void>,
): Promise<void> {
  let end = performance.now() + SLICE_MS;
  for (const [index, args] of checked.entries()) {
    if (args === undefined) continue;
    await run(args, index);
    if (performance.now() < end) continue;
    await sleep(0);
    end = performance.now() + SLICE_MS;
  }
}

async function runItem(
  definition: RunnableTask,
  args: readonly unknown[],
  index: number,
  attempt: number,
  { timeout }: ItemOptions,
  threads: ThreadPoolExecutor | undefined,
): Promise<unknown> {
  const call = async (): Promise<unknown> =>
    threads === undefined ? await definition(...args) : await threads.submit(definition, ...args);
  if (timeout === undefined) return await call();
  const limit = { kind: "timeout", milliseconds: timeout } as const;
  return await withinLimit(limit, `Attempt ${attempt} of item ${index} (${definition.task.name})`, call);
}

function isFinal(error: unknown): boolean {
  return error instanceof UnrecoverableError || error instanceof TaskArgumentsError;
}

/** Returns the back-off of an item in milliseconds; undefined without a back-off. */
async function pauseAfter(
  attempt: number,
  option: ItemOptions["backoff"],
  error: unknown,
): Promise<number | undefined> {
  if (typeof option === "function" || (typeof option === "object" && "maxDelay" in option))
    return backoffDelay(option, attempt, error);
  if (option === undefined) return undefined;
  // Loaded here, since a process that only submits needs no worker.
  const { Backoffs } = await import("bullmq");
  const backoff: BackoffOptions | undefined = Backoffs.normalize(option);
  // The built-in rules of BullMQ read neither the error nor the job. An item has no job of its own.
  return backoff && (await Backoffs.calculate(backoff, attempt, error as Error, undefined as never));
}
