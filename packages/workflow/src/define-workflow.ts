import type { Coroutine } from "@taskloom/loop";
import { unknownOption } from "@taskloom/loop/did-you-mean";
import { defineLaneTask } from "@taskloom/queue/lane";
import type { WorkflowDefinition, WorkflowOptions } from "./definition/workflow-definition.ts";
import { WorkflowOptionsError } from "./errors.ts";
import { openLane } from "./lane/open-lane.ts";

const OPTIONS: Readonly<Record<keyof WorkflowOptions, true>> = {
  name: true,
  version: true,
  args: true,
  maxHistory: true,
  check: true,
  residentFor: true,
};

/**
 * Defines a durable coroutine. The result is a TaskDefinition: a call of it is a plain coroutine, which runs here, in
 * virtual time too. A worker runs it durably.
 *
 * @throws {@link WorkflowOptionsError} if an option of this function is invalid or unknown.
 * @throws TaskOptionsError if the name, the version or the schema is invalid.
 * @example
 * ```ts
 * import { run, sleep } from "@taskloom/loop";
 * import { virtualClock } from "@taskloom/loop/testing";
 * import { defineWorkflow } from "@taskloom/workflow";
 *
 * const remind = defineWorkflow({ name: "remind" }, function* (text: string) {
 *   yield* sleep(30 * 86_400_000);
 *   return text;
 * });
 * console.log(await run(remind("a month is over"), { clock: virtualClock() })); // a month is over
 * ```
 */
export function defineWorkflow<A extends unknown[], R>(
  options: WorkflowOptions<NoInfer<A>>,
  fn: (...args: A) => Generator<unknown, R, unknown>,
): WorkflowDefinition<A, Coroutine<R>>;
export function defineWorkflow<A extends unknown[], R>(
  options: WorkflowOptions<NoInfer<A>>,
  fn: (...args: A) => R,
): WorkflowDefinition<A, R>;
export function defineWorkflow<A extends unknown[]>(
  options: WorkflowOptions<A>,
  fn: (...args: A) => unknown,
): WorkflowDefinition<A> {
  const message = unknownOption(options, Object.keys(OPTIONS), "defineWorkflow");
  if (message !== undefined) throw new WorkflowOptionsError(message);
  const { name, version, args, maxHistory = 50_000, check = "sampled", residentFor = 2000 } = options;
  if (!Number.isSafeInteger(maxHistory) || maxHistory < 10) {
    throw new WorkflowOptionsError(
      `Expected \`maxHistory\` of workflow ${name} to be a whole number of ticks from 10, got ${String(maxHistory)}`,
    );
  }
  if (check !== "always" && check !== "sampled" && check !== "off") {
    throw new WorkflowOptionsError(
      `Expected \`check\` of workflow ${name} to be "always", "sampled" or "off", got ${JSON.stringify(check)}`,
    );
  }
  if (!(residentFor >= 0)) {
    throw new WorkflowOptionsError(
      `Expected \`residentFor\` of workflow ${name} to be milliseconds from 0, got ${String(residentFor)}`,
    );
  }
  const task = defineLaneTask<A, unknown>(
    "defineWorkflow",
    { name, ...(version === undefined ? {} : { version }), ...(args === undefined ? {} : { args }) },
    openLane,
    fn,
  );
  const isGenerator = Object.prototype.toString.call(fn) === "[object GeneratorFunction]";
  return Object.assign(task, { workflow: { maxHistory, check, residentFor, isGenerator } });
}
