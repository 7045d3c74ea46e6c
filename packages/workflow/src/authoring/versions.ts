import type { TaskDefinition } from "@taskloom/queue";
import { encodeValue } from "@taskloom/queue/wire";
import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import { isWorkflowDefinition } from "../definition/workflow-definition.ts";
import { WorkflowUsageError } from "../errors.ts";
import { Continuation } from "../run/continuation.ts";
import { runHere } from "./here.ts";
import { checkName } from "./signals.ts";

/**
 * Returns whether the run takes the new way at a change of the code: true for runs that come here first with the new
 * code, and false for runs whose history passed here with the old one. One run always gets the same answer for a name.
 * Outside a run it is true.
 *
 * @example
 * ```ts
 * import { run, sleep } from "@taskloom/loop";
 * import { defineWorkflow, patched } from "@taskloom/workflow";
 *
 * const wait = defineWorkflow({ name: "wait" }, function* () {
 *   yield* sleep(patched("2026-11-shorter") ? 1 : 60_000);
 *   return "done";
 * });
 * console.log(await run(wait())); // done
 * ```
 */
export function patched(name: string): boolean {
  checkName(name, "patched");
  return runHere()?.patched(name) ?? true;
}

/**
 * Ends this history, and begins the next one under the same id. Write `return continueAs(workflow, …args)`: the call
 * only makes the value that the coroutine returns. Signals and updates that were not read yet go on to the next history.
 *
 * @throws {@link WorkflowUsageError} outside a run, or if `workflow` is no workflow.
 * @example
 * ```ts
 * import { sleep } from "@taskloom/loop";
 * import { continueAs, defineWorkflow } from "@taskloom/workflow";
 *
 * export const daily = defineWorkflow({ name: "daily" }, function* (day: number): Generator<never, void, unknown> {
 *   yield* sleep(86_400_000);
 *   return continueAs(daily, day + 1);
 * });
 * ```
 */
export function continueAs<A extends unknown[], R>(
  workflow: WorkflowDefinition<A, R>,
  ...args: NoInfer<A>
): never {
  if (!isWorkflowDefinition(workflow)) {
    throw new WorkflowUsageError("Expected a workflow made by defineWorkflow for continueAs()");
  }
  if (runHere() === null) {
    throw new WorkflowUsageError(
      `continueAs(${workflow.task.name}) has no history to end outside a run: call the workflow instead`,
    );
  }
  const task = workflow as unknown as TaskDefinition;
  return new Continuation(task, encodeValue(args, { name: `arguments of ${task.task.name}` })) as never;
}
