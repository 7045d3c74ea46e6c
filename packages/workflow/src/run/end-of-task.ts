import type { Task } from "@taskloom/loop";
import { encodeError, encodeValue } from "@taskloom/queue/wire";
import type { Json } from "@taskloom/queue/wire";
import { CANCELLED, COMPLETED, FAILED } from "../journal/entry.ts";
import type { EndRecord } from "../journal/entry.ts";

/**
 * Returns the record of the end of a step, whose task is done. A result that cannot be sent is a failure.
 *
 * @param name the name of the result, for the message about a value that cannot be sent.
 */
export function endOfTask(
  command: number,
  task: Task<unknown>,
  name: string,
  encodeFailure: (error: unknown) => Json = encodeError,
): EndRecord {
  if (task.cancelled()) return [command, CANCELLED, messageOf(task)];
  const error = task.exception();
  if (error !== undefined) return [command, FAILED, encodeFailure(error)];
  try {
    return [command, COMPLETED, encodeValue(task.result(), { name })];
  } catch (unsendable) {
    return [command, FAILED, encodeFailure(unsendable)];
  }
}

/** Returns the message of the cancellation of a task; null without one. */
function messageOf(task: Task<unknown>): string | null {
  try {
    task.result();
    return null;
  } catch (error) {
    return error instanceof Error && error.message !== "" ? error.message : null;
  }
}
