import { CancelledError, gather, sleep } from "@taskloom/loop";
import type { ThreadPoolExecutor } from "@taskloom/offload";
import { Backoffs } from "bullmq";
import type { Backoff, TaskDefinition } from "../definition/define-task.ts";
import { TaskArgumentsError, UnrecoverableError } from "../errors.ts";
import type { PackResult } from "../wire/pack.ts";
import { withinLimit } from "./run-limit.ts";

/** How long items run one after the other before others on the loop have their turn; milliseconds. */
const slice = 5;

/** How each item of a pack is to be run: an item has the attempts and the timeout that a job of its own would have. */
export interface ItemTerms {
  readonly attempts: number;
  readonly backoff: Backoff | undefined;
  readonly timeout: number | undefined;
}

/**
 * Runs many calls that travelled as one job: on the loop one after the other, on threads as many at once as there are.
 * An error is its own item's. A cancelled pack stops where it is.
 */
export async function runPack(
  definition: TaskDefinition,
  items: readonly unknown[][],
  terms: ItemTerms,
  threads: ThreadPoolExecutor | undefined,
): Promise<PackResult> {
  const values: unknown[] = Array.from({ length: items.length }, () => null);
  const errors: [number, unknown][] = [];
  const run = async (args: unknown[], index: number): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      try {
        const call = async (): Promise<unknown> =>
          threads === undefined
            ? await definition(...(args as never[]))
            : await threads.submit(definition, ...(args as never[]));
        values[index] =
          terms.timeout === undefined
            ? await call()
            : await withinLimit(
                { kind: "timeout", milliseconds: terms.timeout },
                `Attempt ${attempt} of item ${index} (${definition.task.name})`,
                call,
              );
        return;
      } catch (error) {
        if (error instanceof CancelledError) throw error;
        if (
          attempt >= terms.attempts ||
          error instanceof UnrecoverableError ||
          error instanceof TaskArgumentsError
        ) {
          errors.push([index, error]);
          return;
        }
        const pause = Backoffs.calculate(terms.backoff as never, attempt, error as Error, undefined as never);
        if (pause !== undefined) await sleep(await pause);
      }
    }
  };
  const check = await checker(definition, items, errors);
  if (threads !== undefined) {
    await gather(
      items.flatMap((_, index) => (check[index] === undefined ? [] : [() => run(check[index]!, index)])),
    );
  } else {
    let end = performance.now() + slice;
    for (const [index, args] of check.entries()) {
      if (args === undefined) continue;
      await run(args, index);
      if (performance.now() < end) continue;
      await sleep(0);
      end = performance.now() + slice;
    }
  }
  errors.sort(([a], [b]) => a - b);
  return { values, errors };
}

/** The arguments of each item as the task's schema gives them back; undefined for those that it refuses. */
async function checker(
  { task }: TaskDefinition,
  items: readonly unknown[][],
  errors: [number, unknown][],
): Promise<readonly (unknown[] | undefined)[]> {
  const schema = task.args?.["~standard"];
  if (schema === undefined) return items;
  const checked: (unknown[] | undefined)[] = [];
  for (const [index, args] of items.entries()) {
    const result = await schema.validate(args);
    if (result.issues === undefined) checked.push([...result.value]);
    else {
      checked.push(undefined);
      errors.push([index, new TaskArgumentsError(task.name, result.issues)]);
    }
  }
  return checked;
}
