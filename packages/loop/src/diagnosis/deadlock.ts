import { DeadlockError } from "../errors.ts";
import type { Loop } from "../kernel/loop.ts";
import { describe } from "../describe.ts";
import { captureWaits } from "./waits.ts";

/** Names every task that waits, and what it waits for. */
export function describeDeadlock(loop: Loop): DeadlockError {
  const lines: string[] = [];
  for (const task of loop._tasks) {
    lines.push(`  ${describe(task)}`);
    // A generator task names what it waits for in its own description.
    if (task._leaves !== null)
      lines.push(...captureWaits(task).map(({ description }) => `    waits for ${description}`));
  }
  return new DeadlockError(
    `nothing is ready, no timer is set and nothing outside is under way, but ${lines.length === 1 ? "a task waits" : "tasks wait"}; ` +
      `set what they wait for, or cancel them:\n${lines.join("\n")}`,
  );
}
