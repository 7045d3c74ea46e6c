import { ForeignPromise, NativeBody } from "../task/native-body.ts";
import { leavesOf } from "../task/leaves.ts";
import { PENDING } from "../task/states.ts";
import type { Strand } from "../task/strand.ts";
import type { Task } from "../task/task.ts";
import { describe } from "../describe.ts";

/** One wait of a task. */
export interface Wait {
  /**
   * The awaited object: a future, a task, a sleep, the waiter of a lock. It is the same object for the whole wait, and
   * another object for the next wait at the same line. Null for a promise that is not Taskloom's, because V8 does not
   * show which promise an async function awaits.
   */
  readonly on: object | null;
  /** The awaited object as text, such as `<sleep(500) pending>` or `<Lock.acquire() locked held by 'Task-2', 1 waiting>`. */
  readonly description: string;
}

/**
 * Returns the waits of a task: none if it is done, ready or running; several under `Promise.all`.
 *
 * ```ts
 * import { Lock, captureWaits, createTask, run, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const lock = new Lock();
 *   using held = await lock.acquire();
 *   const second = createTask(() => lock.acquire(), { name: "second" });
 *   await sleep(0);
 *   console.log(captureWaits(second)[0]?.description.includes("Lock.acquire() locked held by")); // true
 *   second.cancel();
 * });
 * ```
 */
export function captureWaits(task: Task<unknown>): Wait[] {
  return task._state === PENDING ? waitsOf(task) : [];
}

function waitsOf(strand: Strand): Wait[] {
  const leaves = leavesOf(strand);
  if (leaves.length === 0) return strand._waiter === null ? [] : [waitOn(strand._waiter)];
  return leaves.flatMap((leaf) => (leaf._branch === null ? [waitOn(leaf._waitsFor)] : waitsOf(leaf._branch)));
}

function waitOn(awaited: unknown): Wait {
  const isOutside = awaited instanceof NativeBody || awaited instanceof ForeignPromise;
  if (isOutside || typeof awaited !== "object" || awaited === null)
    return { on: null, description: "a promise that is not Taskloom's, such as I/O" };
  return { on: awaited, description: describe(awaited) };
}
