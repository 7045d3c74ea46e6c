import { CancelledError, coroutine, sleep, timeout } from "@taskloom/loop";
import type { Coroutine } from "@taskloom/loop";
import { TaskArgumentsError, UnrecoverableError } from "@taskloom/queue";
import type { TaskDefinition } from "@taskloom/queue";
import { backoffDelay } from "@taskloom/queue/lane";
import type { StepOptions } from "../run/host.ts";

/** Runs a task here, outside any run: with its attempts, its waits between them and its time limit, and no record. */
export const plainCall: (
  task: TaskDefinition,
  args: readonly unknown[],
  options: StepOptions,
) => Coroutine<unknown> = coroutine(function* step(task, args, options) {
  const attempts = options.once === true ? 1 : (options.attempts ?? task.task.attempts);
  const limit = options.timeout ?? task.task.timeout;
  for (let attempt = 1; ; attempt++) {
    let failure: unknown;
    try {
      const call = once(task, args);
      return yield* limit === undefined ? call : timeout(limit, call);
    } catch (error) {
      const isFinal =
        error instanceof CancelledError ||
        error instanceof UnrecoverableError ||
        error instanceof TaskArgumentsError;
      if (isFinal || attempt >= attempts) throw error;
      failure = error;
    }
    const backoff = task.task.backoff;
    if (backoff !== undefined) yield* sleep(backoffDelay(backoff, attempt, failure));
  }
});

const once = coroutine(async (task: TaskDefinition, args: readonly unknown[]): Promise<unknown> => {
  const run = task as unknown as (...given: readonly unknown[]) => unknown;
  return await run(...args);
});
