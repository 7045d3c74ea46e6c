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

/** One call in a flow: a task with its arguments; made by {@link call}. */
export interface TaskCall<R = unknown> {
  readonly task: TaskDefinition<never, unknown>;
  readonly args: readonly unknown[];
  readonly options: SubmitOptions;
  readonly children: readonly TaskCall[];
  /** The same call with options of its own. */
  with(options: SubmitOptions): TaskCall<R>;
  /** The same call, made when others have ended: it gets their results as `currentJob().childResults`. */
  after(children: readonly TaskCall[]): TaskCall<R>;
}

/** The Task of a flow's parent, with those of its children. */
export type FlowTask<R> = RemoteTask<R> & { readonly children: readonly RemoteTask<unknown>[] };

/**
 * Names a call of a task for a flow.
 *
 * @throws {@link TaskOptionsError} when `task` was not made by `defineTask`.
 * @example
 * ```ts
 * import { call, defineTask } from "@taskloom/queue";
 *
 * const add = defineTask({ name: "add" }, async (a: number, b: number) => a + b);
 * console.log(call(add, 1, 2).args); // [1, 2]
 * ```
 */
export function call<A extends unknown[], R>(task: TaskDefinition<A, R>, ...args: A): TaskCall<Awaited<R>> {
  return callOf(task as never, args, {}, []);
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
      if (more.id !== undefined || more.deduplicate !== undefined || more.delay !== undefined) {
        throw new TaskOptionsError(
          "A call in a flow takes no `id`, `deduplicate` or `delay`: the flow is submitted as a whole, and its parts run in its order.",
        );
      }
      return callOf<R>(task, args, { ...options, ...resolveSubmitOptions(more) }, children);
    },
    after: (more) => callOf<R>(task, args, options, [...children, ...more]),
  };
}

/** What the jobs of a flow came to, when the last of them has ended. */
export async function outcomesOf(tasks: readonly RemoteTask<unknown>[]): Promise<Outcome[]> {
  const ends = await Promise.allSettled(tasks);
  return ends.map((end) => {
    if (end.status === "fulfilled") return { state: "completed", value: encodeValue(end.value) };
    if (end.reason instanceof CancelledError) return cancelledOutcome(end.reason.message);
    return { state: "failed", error: encodeError(end.reason) };
  });
}

/** What a child's failure means for the parent, in BullMQ's words. */
export function childOptions(returnExceptions: boolean): FlowJob["opts"] {
  return returnExceptions ? { ignoreDependencyOnFailure: true } : { failParentOnFailure: true };
}
