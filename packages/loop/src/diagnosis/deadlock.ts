import { DeadlockError } from "../errors.ts";
import type { Loop } from "../kernel/loop.ts";
import { describe } from "../describe.ts";
import { captureWaits } from "./waits.ts";

/** Returns the error that names every waiting task and its awaited objects. */
export function describeDeadlock(loop: Loop): DeadlockError {
  const lines: string[] = [];
  for (const task of loop._tasks) {
    lines.push(`  ${describe(task)}`);
    // The description of a generator task names the awaited object itself.
    if (task._leaves !== null)
      lines.push(...captureWaits(task).map(({ description }) => `    waits for ${description}`));
  }
  return new DeadlockError(
    `Nothing is ready, no timer is set and no work outside is pending, but ${lines.length === 1 ? "a task waits" : "tasks wait"}. ` +
      `Settle the awaited futures, or cancel the tasks:\n${lines.join("\n")}`,
  );
}
