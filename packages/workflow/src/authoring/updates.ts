import type { Awaitable } from "@taskloom/loop";
import type { UpdateHandler } from "../run/inputs.ts";
import { runHere } from "./here.ts";
import { checkName } from "./signals.ts";

/** A question that a run answers; made by {@link defineUpdate}. */
export interface UpdateDefinition<A extends unknown[], R> {
  readonly name: string;
  /** Only in the types: the arguments and the answer. */
  readonly types?: readonly [args: A, answer: R];
}

/**
 * Defines an update: a question to a run, with arguments and an answer.
 *
 * @throws {@link WorkflowOptionsError} if the name is empty.
 * @example
 * ```ts
 * import { sleep } from "@taskloom/loop";
 * import { defineUpdate, defineWorkflow, onUpdate } from "@taskloom/workflow";
 *
 * const rename = defineUpdate<[name: string], string>("rename");
 * export const profile = defineWorkflow({ name: "profile" }, function* (first: string) {
 *   let name = first;
 *   onUpdate(rename, function* (next: string) {
 *     const before = name;
 *     name = next;
 *     return before;
 *   });
 *   yield* sleep(86_400_000);
 *   return name;
 * });
 * ```
 */
export function defineUpdate<A extends unknown[], R>(name: string): UpdateDefinition<A, R> {
  checkName(name, "defineUpdate");
  return { name };
}

/**
 * Answers the updates of a kind from now on, those that have come before included. Each one runs as a task of the run.
 * Outside a run nobody can ask, and the call does nothing.
 *
 * @throws {@link WorkflowUsageError} if the run has a handler for the update.
 */
export function onUpdate<A extends unknown[], R>(
  update: UpdateDefinition<A, R>,
  handler:
    | ((...args: NoInfer<A>) => Generator<unknown, NoInfer<R>, unknown>)
    | ((...args: NoInfer<A>) => Awaitable<NoInfer<R>>),
): void {
  runHere()?.inputs.handle(update.name, handler as unknown as UpdateHandler);
}
