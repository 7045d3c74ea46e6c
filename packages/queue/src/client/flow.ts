import { CancelledError } from "@taskloom/loop";
import type { FlowJob } from "bullmq";
import type { TaskDefinition } from "../definition/define-task.ts";
import { TaskOptionsError } from "../errors.ts";
import { encodeError, encodeValue } from "../wire/encode.ts";
import { cancelledOutcome } from "../wire/outcome.ts";
import type { Outcome } from "../wire/outcome.ts";
import type { RemoteTask } from "./remote-task.ts";
import { resolveSubmitOptions } from "./submit-options.ts";
import type { SubmitOptions } from "./submit-options.ts";

/** One call in a flow: a task and its arguments; made by {@link call}. */
export interface TaskCall<R = unknown> {
  readonly task: TaskDefinition<never, unknown>;
  readonly args: readonly unknown[];
  readonly options: SubmitOptions;
  readonly children: readonly TaskCall[];
  /**
   * Returns the call with options of its own.
   *
   * @throws {@link TaskOptionsError} for an invalid option, and for `id`, `deduplicate`, `delay` and `signal`.
   */
  with(options: SubmitOptions): TaskCall<R>;
  /** Returns the call as the parent of others. It runs after them, with their results as `currentJob().childResults`. */
  after(children: readonly TaskCall[]): TaskCall<R>;
}

/** The options of a flow as a whole. */
export interface FlowOptions {
  /** Whether the parent runs with the errors of its children among its results. Default: a failed child fails its parent. */
  readonly returnExceptions?: boolean;
  /** Cancels the flow when it is aborted. */
  readonly signal?: AbortSignal;
}

/** The task of a flow's parent, with the tasks of its children. */
export type FlowTask<R> = RemoteTask<R> & { readonly children: readonly RemoteTask<unknown>[] };

/**
 * Returns a call of a task as a part of a flow. Nothing is submitted before {@link TaskQueue.flow}, which throws a
 * {@link TaskOptionsError} if `task` was not made by `defineTask`.
 *
 * @example
 * ```ts
 * import { call, defineTask } from "@taskloom/queue";
 *
 * const add = defineTask({ name: "add" }, async (a: number, b: number) => a + b);
 * console.log(call(add, 1, 2).args); // [1, 2]
 * ```
 */
export function call<A extends unknown[], R>(task: TaskDefinition<A, R>, ...args: A): TaskCall<Awaited<R>> {
  return callOf(task, args, {}, []);
}

function callOf<R>(
  task: TaskDefinition<never, unknown>,
  args: readonly unknown[],
  options: SubmitOptions,
  children: readonly TaskCall[],
): TaskCall<R> {
  return {
    task,
    args,
    options,
    children,
    with(more) {
      for (const option of ["id", "deduplicate", "delay", "signal"] as const) {
        if (more[option] === undefined) continue;
        throw new TaskOptionsError(
          `Expected a call in a flow to have no \`${option}\`, since a flow is submitted and cancelled as a whole, and runs in its own order`,
        );
      }
      return callOf<R>(task, args, { ...options, ...resolveSubmitOptions(more) }, children);
    },
    after: (more) => callOf<R>(task, args, options, [...children, ...more]),
  };
}

/** Resolves with the outcomes of tasks when all of them have ended. */
export async function outcomesOf(tasks: readonly RemoteTask<unknown>[]): Promise<Outcome[]> {
  const ends = await Promise.allSettled(tasks);
  return ends.map((end) => {
    if (end.status === "fulfilled") return { state: "completed", value: encodeValue(end.value) };
    if (end.reason instanceof CancelledError) return cancelledOutcome(end.reason.message);
    return { state: "failed", error: encodeError(end.reason) };
  });
}

/** Returns BullMQ's options of a child, which determine the effect of its failure on the parent. */
export function childOptions(returnExceptions: boolean): FlowJob["opts"] {
  return returnExceptions ? { ignoreDependencyOnFailure: true } : { failParentOnFailure: true };
}
