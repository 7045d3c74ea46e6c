import { runHere } from "./here.ts";
import { checkName } from "./signals.ts";

/** A value that a run shows to others; made by {@link defineView}. */
export interface ViewDefinition<T> {
  readonly name: string;
  /** Shows a value. It is stored with the tick, so nobody sees a value that a crash takes back. */
  set(value: T): void;
}

/**
 * Defines a view: a value of a run that others read without the run's help. Outside a run, `set` does nothing.
 *
 * @throws {@link WorkflowOptionsError} if the name is empty.
 * @example
 * ```ts
 * import { sleep } from "@taskloom/loop";
 * import { defineView, defineWorkflow } from "@taskloom/workflow";
 *
 * const progress = defineView<number>("progress");
 * export const long = defineWorkflow({ name: "long" }, function* () {
 *   for (let hour = 1; hour <= 24; hour++) {
 *     yield* sleep(3_600_000);
 *     progress.set(hour / 24);
 *   }
 * });
 * ```
 */
export function defineView<T>(name: string): ViewDefinition<T> {
  checkName(name, "defineView");
  return { name, set: (value) => runHere()?.setView(name, value) };
}
