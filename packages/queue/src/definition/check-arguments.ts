import type { StandardSchemaV1 } from "@standard-schema/spec";
import { TaskArgumentsError } from "../errors.ts";
import type { ResolvedTaskOptions } from "./define-task.ts";

type Arguments = readonly unknown[];

/**
 * Checks arguments against the schema of their task, and returns the arguments that the schema makes of them. The
 * result is a promise only if the schema is asynchronous.
 *
 * @throws {@link TaskArgumentsError} if the schema refuses the arguments, and any error that the schema itself throws. An
 *   asynchronous schema has the promise rejected with them.
 */
export function checkArguments(task: ResolvedTaskOptions, args: Arguments): Arguments | Promise<Arguments> {
  if (task.args === undefined) return args;
  const result = task.args["~standard"].validate(args);
  return "then" in result
    ? Promise.resolve(result).then((settled) => accepted(task, settled))
    : accepted(task, result);
}

function accepted(task: ResolvedTaskOptions, result: StandardSchemaV1.Result<Arguments>): Arguments {
  if (result.issues !== undefined) throw new TaskArgumentsError(task.name, result.issues);
  return result.value;
}

/** The calls of a pack after the check of their arguments. */
export interface CheckedCalls {
  /** The arguments of each call; undefined for a call that was refused. */
  readonly checked: readonly (Arguments | undefined)[];
  /** The error of each refused call, by the index of the call. */
  readonly refused: Map<number, unknown>;
}

/** Checks the arguments of each call by itself. */
export async function checkEach(
  task: ResolvedTaskOptions,
  calls: readonly Arguments[],
): Promise<CheckedCalls> {
  const refused = new Map<number, unknown>();
  if (task.args === undefined) return { checked: calls, refused };
  const checked: (Arguments | undefined)[] = [];
  for (const [index, args] of calls.entries()) {
    try {
      checked.push(await checkArguments(task, args));
    } catch (error) {
      refused.set(index, error);
      checked.push(undefined);
    }
  }
  return { checked, refused };
}
