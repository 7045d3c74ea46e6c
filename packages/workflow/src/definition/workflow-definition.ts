import { isTaskDefinition } from "@taskloom/queue";
import type { TaskDefinition } from "@taskloom/queue";
import type { StandardSchemaV1 } from "@standard-schema/spec";

/** The options of `defineWorkflow`. */
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

/** A durable coroutine with the options by which workers find and run it; made by `defineWorkflow`. */
export interface WorkflowDefinition<A extends unknown[] = never[], R = unknown> extends TaskDefinition<A, R> {
  readonly workflow: ResolvedWorkflowOptions;
}

/**
 * Whether a value was made by `defineWorkflow`.
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
