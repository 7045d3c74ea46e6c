import { DeadlockError } from "../errors.ts";
import type { EventLoop } from "../kernel/event-loop.ts";
import { describe } from "./describe.ts";

/** Names every task that waits, and what it waits for. */
export function describeDeadlock(loop: EventLoop): DeadlockError {
  const lines: string[] = [];
  for (const task of loop._tasks) {
    const waits: unknown[] = task._waiter === null ? [] : [task._waiter];
    for (const leaf of task._leaves ?? []) waits.push(leaf._waitsFor);
    lines.push(`  ${describe(task)}`);
    if (task._leaves !== null && waits.length > 0) {
      lines.push(...waits.map((future) => `    waits for ${describe(future)}`));
    }
  }
  return new DeadlockError(
    `nothing is ready, no timer is set and nothing outside is under way, but ${lines.length === 1 ? "a task waits" : "tasks wait"}; ` +
      `set what they wait for, or cancel them:\n${lines.join("\n")}`,
  );
}
