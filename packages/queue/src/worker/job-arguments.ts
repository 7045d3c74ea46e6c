import { checkArguments } from "../definition/check-arguments.ts";
import type { RunnableTask } from "../definition/define-task.ts";
import type { BullJob } from "../contract/lane-queue.ts";
import { TaskArgumentsError } from "../errors.ts";
import { decodeArguments } from "../wire/job-data.ts";
import { StoredFailure } from "../wire/outcome.ts";
import { WireError } from "../wire/wire-error.ts";

/**
 * Returns the arguments of a job, or a promise of them if an asynchronous schema checks them. The data of a job of BullMQ's
 * own client is its only argument.
 */
export function checkedArguments(
  { task }: RunnableTask,
  { data, plain }: BullJob,
): readonly unknown[] | Promise<readonly unknown[]> {
  try {
    const args = plain === undefined ? decodeArguments(data) : [plain.data];
    // The items of a pack are checked one by one when it runs.
    const checked = data.pack === true ? args : checkArguments(task, args);
    return checked instanceof Promise ? checked.catch(refuseArguments) : checked;
  } catch (error) {
    return refuseArguments(error);
  }
}

/** Fails a job with the error of its arguments. An error of the schema's own code is not final. */
function refuseArguments(error: unknown): never {
  const final = error instanceof TaskArgumentsError || error instanceof WireError;
  throw new StoredFailure(error, { final });
}
