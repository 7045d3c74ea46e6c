import type { Backoff, BackoffFunction } from "../definition/backoff.ts";
import type { RunnableTask } from "../definition/define-task.ts";

/**
 * Returns the back-off of a job that BullMQ cannot apply: a function of the task, or a cap. Undefined if BullMQ's rules of the
 * job's own options hold.
 *
 * @param stored the option of the job, which any client can have stored.
 */
export function ownBackoff(
  stored: unknown,
  { task: { backoff } }: RunnableTask,
): Backoff | BackoffFunction | undefined {
  if (stored === undefined) return typeof backoff === "function" ? backoff : undefined;
  return isCapped(stored) ? stored : undefined;
}

function isCapped(stored: unknown): stored is Backoff {
  if (typeof stored !== "object" || stored === null) return false;
  const { type, delay, maxDelay }: Partial<Record<keyof Backoff, unknown>> = stored;
  const isType = type === "fixed" || type === "exponential";
  return isType && typeof delay === "number" && typeof maxDelay === "number";
}
