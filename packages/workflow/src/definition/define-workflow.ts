import type { Coroutine } from "@taskloom/loop";
import { unknownOption } from "@taskloom/loop/did-you-mean";
import { defineTask, isTaskDefinition } from "@taskloom/queue";
import type { TaskDefinition } from "@taskloom/queue";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { WorkflowOptionsError } from "../errors.ts";

/** The options of {@link defineWorkflow}. */
export interface WorkflowOptions<A extends readonly unknown[] = readonly unknown[]> {
  /** The name by which workers find the workflow. It is a contract between processes, as a task's name is. */
  readonly name: string;
  /** A run never continues with code of another version. Default 1. */
  readonly version?: number;
  /** A Standard Schema of the array of arguments. */
  readonly args?: StandardSchemaV1<unknown, A>;
  /** The number of ticks from which on commands throw a HistoryFullError. Default 50 000. */
  readonly maxHistory?: number;
  /** How often a worker replays a run that parks or ends, to find impure code: default `"sampled"`. */
  readonly check?: "always" | "sampled" | "off";
  /** Milliseconds for which a run that only waits stays in a worker's memory. Default 2000. */
  readonly residentFor?: number;
}

/** {@link WorkflowOptions} with all defaults, beside those of its task. */
export interface ResolvedWorkflowOptions {
  readonly maxHistory: number;
  readonly check: "always" | "sampled" | "off";
  readonly residentFor: number;
  /** Whether the function is a generator. Its turns are synchronous, so `Date` and others can be the run's own. */
  readonly isGenerator: boolean;
}

/** A durable coroutine with the options by which workers find and run it; made by {@link defineWorkflow}. */
export interface WorkflowDefinition<A extends unknown[] = never[], R = unknown> extends TaskDefinition<A, R> {
  readonly workflow: ResolvedWorkflowOptions;
}

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
  const task = defineTask<A, unknown>(
    { name, ...(version === undefined ? {} : { version }), ...(args === undefined ? {} : { args }) },
    fn,
  );
  const isGenerator = Object.prototype.toString.call(fn) === "[object GeneratorFunction]";
  return Object.assign(task, { workflow: { maxHistory, check, residentFor, isGenerator } });
}

/**
 * Whether a value was made by {@link defineWorkflow}.
 *
 * @example
 * ```ts
 * import { defineWorkflow, isWorkflowDefinition } from "@taskloom/workflow";
 *
 * console.log(isWorkflowDefinition(defineWorkflow({ name: "nothing" }, function* () {}))); // true
 * console.log(isWorkflowDefinition(() => {})); // false
 * ```
 */
export function isWorkflowDefinition(value: unknown): value is WorkflowDefinition {
  return isTaskDefinition(value) && "workflow" in value;
}
