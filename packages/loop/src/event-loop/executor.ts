import type { Task } from "../task/task.ts";

/** A place where functions run: a thread pool is one, and a queue. */
export interface Executor {
  /** Runs `fn(...args)` there; the Task gives its outcome, and cancelling it stops it. */
  submit<A extends unknown[], R>(fn: (...args: A) => R, ...args: A): Task<Awaited<R>>;
  /** Takes nothing more, and ends when everything that was taken has; with `cancelPending`, what has not begun is cancelled. */
  shutdown(options?: { cancelPending?: boolean }): Promise<void>;
}
