import type { Coroutine } from "@taskloom/loop";
import { definitionOf, resolveTaskOptions } from "../definition/define-task.ts";
import type { TaskOptions } from "../definition/define-task.ts";
import { TaskOptionsError } from "../errors.ts";
import { laneRunner } from "./lane-runner.ts";
import type { LaneRunnerFactory, LaneTaskDefinition } from "./lane-runner.ts";

/**
 * The options of a task that brings its lane: those of `defineTask`, without the lane, without limits, which count jobs and not
 * durable runs, and without a type of progress.
 */
export type LaneTaskOptions<A extends readonly unknown[] = readonly unknown[]> = Omit<
  TaskOptions<A>,
  "runsOn" | "module" | "concurrency" | "rateLimit" | "progress"
>;

/**
 * Defines a task of the workflow lane, with the runner of the lane. As for `defineTask`, a call of the result runs the
 * function here.
 *
 * @param by the name of the function that a user calls, for messages.
 * @throws {@link TaskOptionsError} if an option is invalid or unknown, or `fn` is not a function.
 * @example
 * ```ts
 * import { defineLaneTask } from "@taskloom/queue/lane";
 * import type { LaneRunnerFactory } from "@taskloom/queue/lane";
 *
 * declare const open: LaneRunnerFactory;
 * const defineRun = (name: string) => defineLaneTask("defineRun", { name }, open, async (n: number) => n + 1);
 * ```
 */
export function defineLaneTask<A extends unknown[], R>(
  by: string,
  options: LaneTaskOptions<NoInfer<A>>,
  open: LaneRunnerFactory,
  fn: (...args: A) => Generator<unknown, R, unknown>,
): LaneTaskDefinition<A, Coroutine<R>>;
export function defineLaneTask<A extends unknown[], R>(
  by: string,
  options: LaneTaskOptions<NoInfer<A>>,
  open: LaneRunnerFactory,
  fn: (...args: A) => R,
): LaneTaskDefinition<A, R>;
export function defineLaneTask<A extends unknown[]>(
  by: string,
  options: LaneTaskOptions<A>,
  open: LaneRunnerFactory,
  fn: (...args: A) => unknown,
): LaneTaskDefinition<A> {
  const limit = (["concurrency", "rateLimit"] as const).find((option) => option in options);
  if (limit !== undefined)
    throw new TaskOptionsError(
      `Expected \`${limit}\` of ${by} to be absent, since a durable run waits most of its time; limit the tasks that it submits`,
    );
  const task = { ...resolveTaskOptions(options, by), runsOn: "workflow" as const };
  return Object.assign(definitionOf(task, fn, by), { [laneRunner]: open });
}
