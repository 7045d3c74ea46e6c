import { types } from "node:util";
import { createTask } from "@taskloom/loop";
import type { Task, TaskOptions } from "@taskloom/loop";

/** Returns true if a value has to be awaited: a promise, another thenable, or a generator. */
export function isPending(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    (typeof (value as { then?: unknown }).then === "function" || types.isGeneratorObject(value))
  );
}

/**
 * Makes a task of a user's function, or of something that it returned.
 *
 * `createTask` checks at run time what it receives. The types of a user's function are not known here.
 */
export function startTask(
  work: (() => unknown) | PromiseLike<unknown>,
  options?: TaskOptions,
): Task<unknown> {
  return createTask(work as () => Promise<unknown>, options);
}
