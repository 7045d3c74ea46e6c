import type { Task } from "../task/task.ts";

/** A place where functions run, such as a thread pool or a queue. */
export interface Executor {
  /** Runs `fn(...args)` in that place. The Task has the outcome, and its cancellation stops the call. */
  submit<A extends unknown[], R>(fn: (...args: A) => R, ...args: A): Task<Awaited<R>>;
  /** Takes no more calls, and resolves when all calls have ended. With `cancelPending`, cancels the calls that have not begun. */
  shutdown(options?: { cancelPending?: boolean }): Promise<void>;
}
