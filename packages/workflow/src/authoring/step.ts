import type { Operation } from "@taskloom/loop";
import { isTaskDefinition } from "@taskloom/queue";
import type { TaskDefinition } from "@taskloom/queue";
import { isWorkflowDefinition } from "../definition/workflow-definition.ts";
import { WorkflowOptionsError, WorkflowUsageError } from "../errors.ts";
import type { StepOptions, ChildOptions } from "../run/host.ts";
import { Deferred } from "./deferred.ts";
import { runHere } from "./here.ts";
import { plainCall } from "./plain-call.ts";

/** The type of a task's result, awaited. */
export type ResultOf<R> = R extends Generator<unknown, infer T, unknown> ? T : Awaited<R>;

/** A function that makes lazy calls of tasks. */
export interface Caller<O> {
  <A extends unknown[], R>(task: TaskDefinition<A, R>, ...args: NoInfer<A>): Operation<ResultOf<R>>;
  /** Returns the same function with options. */
  with(
    options: O,
  ): <A extends unknown[], R>(task: TaskDefinition<A, R>, ...args: NoInfer<A>) => Operation<ResultOf<R>>;
}

function stepOf(options: StepOptions, task: TaskDefinition, args: readonly unknown[]): Operation<unknown> {
  checkTask(task, "step");
  if (isWorkflowDefinition(task)) {
    throw new WorkflowUsageError(
      `Expected a task for step(), got the workflow ${task.task.name}: write submit(${task.task.name}, …), which starts a child`,
    );
  }
  return new Deferred("step", () => {
    const run = runHere();
    return run === null
      ? plainCall(task, args, options)[Symbol.iterator]()
      : run.call("s", task, args, options);
  });
}

function submitOf(options: ChildOptions, task: TaskDefinition, args: readonly unknown[]): Operation<unknown> {
  checkTask(task, "submit");
  return new Deferred("submit", () => {
    const run = runHere();
    if (run === null) return plainCall(task, args, {})[Symbol.iterator]();
    return run.call(isWorkflowDefinition(task) ? "w" : "j", task, args, options);
  });
}

function checkTask(task: unknown, of: string): void {
  if (isTaskDefinition(task)) return;
  throw new WorkflowUsageError(
    `Expected a task made by defineTask for ${of}(), since another worker may have to find it, got ${typeof task}`,
  );
}

function checkStepOptions(options: StepOptions): StepOptions {
  const { attempts, timeout, once, key } = options;
  if (attempts !== undefined && (!Number.isSafeInteger(attempts) || attempts < 1)) {
    throw new WorkflowOptionsError(
      `Expected \`attempts\` to be a whole number from 1, got ${String(attempts)}`,
    );
  }
  if (timeout !== undefined && !(timeout > 0)) {
    throw new WorkflowOptionsError(`Expected \`timeout\` to be milliseconds above 0, got ${String(timeout)}`);
  }
  if (once === true && attempts !== undefined && attempts > 1) {
    throw new WorkflowOptionsError("Expected no `attempts` beside `once: true`, since such a step runs once");
  }
  if (key !== undefined && typeof key !== "string") {
    throw new WorkflowOptionsError(`Expected \`key\` to be a text, got ${typeof key}`);
  }
  return options;
}

/** The other options are checked with the submission, whose error is the error of the call. */
function checkChildOptions(options: object): void {
  for (const option of ["deduplicate", "keep", "signal"]) {
    if (option in options)
      throw new WorkflowOptionsError(
        `Expected \`submit.with()\` to have no \`${option}\`, since the run that waits for the job decides on its life`,
      );
  }
}

/**
 * Calls a task as a step: on this worker, recorded, and not run again once its result is stored. The call is lazy, as
 * that of a coroutine is: it begins when it is awaited or made a task. Outside a run the task runs here, plainly.
 *
 * A step runs at least once. If its worker dies, it runs again, with the same key.
 *
 * @throws {@link WorkflowUsageError} if `task` is no task, or is a workflow.
 * @example
 * ```ts
 * import { gather, run } from "@taskloom/loop";
 * import { defineTask } from "@taskloom/queue";
 * import { defineWorkflow, step } from "@taskloom/workflow";
 *
 * const double = defineTask({ name: "double" }, (n: number) => 2 * n);
 * const sum = defineWorkflow({ name: "sum" }, function* (a: number, b: number) {
 *   const [x, y] = yield* gather([step(double, a), step.with({ attempts: 3 })(double, b)]);
 *   return x + y;
 * });
 * console.log(await run(sum(1, 2))); // 6
 * ```
 */
export const step: Caller<StepOptions> = Object.assign(
  (task: TaskDefinition, ...args: readonly unknown[]) => stepOf({}, task, args),
  {
    with: (options: StepOptions) => {
      const checked = checkStepOptions(options);
      return (task: TaskDefinition, ...args: readonly unknown[]) => stepOf(checked, task, args);
    },
  },
) as never;

/**
 * Submits a task as a job for any worker, or a workflow as a child, and waits for its end. Its id is made of the run's
 * id, so it is added once, whatever dies. Outside a run the task runs here, plainly.
 *
 * @throws {@link WorkflowUsageError} if `task` is no task.
 * @example
 * ```ts
 * import { run } from "@taskloom/loop";
 * import { defineTask } from "@taskloom/queue";
 * import { defineWorkflow, submit } from "@taskloom/workflow";
 *
 * const print = defineTask({ name: "print" }, (text: string) => text.length);
 * const letter = defineWorkflow({ name: "letter" }, function* (text: string) {
 *   return yield* submit(print, text);
 * });
 * console.log(await run(letter("Dear Ada"))); // 8
 * ```
 */
export const submit: Caller<ChildOptions> = Object.assign(
  (task: TaskDefinition, ...args: readonly unknown[]) => submitOf({}, task, args),
  {
    with: (options: ChildOptions) => {
      checkChildOptions(options);
      return (task: TaskDefinition, ...args: readonly unknown[]) => submitOf(options, task, args);
    },
  },
) as never;
