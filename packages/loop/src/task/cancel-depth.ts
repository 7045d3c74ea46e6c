import { describe } from "../diagnosis/describe.ts";
import { UsageError } from "../errors.ts";
import type { Task } from "./task.ts";

/**
 * A cancel goes from a task to what it waits for. Tasks that wait for each other would send it round for
 * ever (CPython ends that with a RecursionError), so from a depth that nobody reaches by accident one task
 * is remembered, and meeting it again is the proof. A mark on every task would find it sooner and cost
 * every task its memory.
 */
const suspicious = 256;
let depth = 0;
let suspect: Task<unknown> | null = null;

export function enterCancel(task: Task<unknown>): void {
  depth++;
  if (depth === suspicious) suspect = task;
  else if (depth > suspicious && task === suspect) {
    throw new UsageError(
      "AWAIT_CYCLE",
      `${describe(task)} is in a circle of tasks that await each other, where a cancel never arrives: ` +
        "let one of them wait for something else",
    );
  }
}

export function leaveCancel(): void {
  depth--;
  if (depth === 0) suspect = null;
}
