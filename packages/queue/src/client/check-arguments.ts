import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { ResolvedTaskOptions } from "../definition/define-task.ts";
import { TaskArgumentsError } from "../errors.ts";

/** Checks arguments against the task's schema, if it has one; at once when the schema answers at once. */
export function checkArguments(
  task: ResolvedTaskOptions,
  args: readonly unknown[],
  accept: (args: readonly unknown[]) => void,
  refuse: (error: unknown) => void,
): void {
  const conclude = (result: StandardSchemaV1.Result<readonly unknown[]>): void => {
    try {
      if (result.issues === undefined) accept(result.value);
      else refuse(new TaskArgumentsError(task.name, result.issues));
    } catch (error) {
      refuse(error);
    }
  };
  if (task.args === undefined) return conclude({ value: args });
  let result: StandardSchemaV1.Result<readonly unknown[]> | PromiseLike<never>;
  let isAtOnce: boolean;
  try {
    result = task.args["~standard"].validate(args) as typeof result;
    isAtOnce = !("then" in result);
  } catch (error) {
    return refuse(error); // A schema that throws refuses in a way of its own.
  }
  if (isAtOnce) conclude(result as StandardSchemaV1.Result<readonly unknown[]>);
  else (result as PromiseLike<never>).then(conclude, refuse);
}

/** Checks the arguments of many calls; gives those that pass, and the errors of the others by their place. */
export async function checkEach(
  task: ResolvedTaskOptions,
  items: readonly (readonly unknown[])[],
): Promise<{ readonly accepted: readonly (readonly unknown[])[]; readonly refused: Map<number, unknown> }> {
  const refused = new Map<number, unknown>();
  const schema = task.args?.["~standard"];
  if (schema === undefined) return { accepted: items, refused };
  const accepted: (readonly unknown[])[] = [];
  for (const [index, args] of items.entries()) {
    try {
      const result = await schema.validate(args);
      if (result.issues === undefined) accepted.push(result.value);
      else refused.set(index, new TaskArgumentsError(task.name, result.issues));
    } catch (error) {
      refused.set(index, error);
    }
  }
  return { accepted, refused };
}
