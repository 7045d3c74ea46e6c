/** Helpers of the tests: the fixtures' address, and a wait for a thread without a sleep. */
import { afterEach } from "vitest";
import { ThreadPoolExecutor, threaded } from "../src/index.ts";
import type { Threaded, ThreadPoolOptions } from "../src/index.ts";

export type Jobs = typeof import("./fixtures/jobs.ts");
export const jobs: Threaded<Jobs> = threaded<Jobs>("./fixtures/jobs.ts");

const open: ThreadPoolExecutor[] = [];

/** Returns a pool that ends with the test. */
export function makePool(options: ThreadPoolOptions = {}): ThreadPoolExecutor {
  const pool = new ThreadPoolExecutor({ maxThreads: 2, ...options });
  open.push(pool);
  return pool;
}

afterEach(async () => {
  await Promise.all(
    open.splice(0).map((pool) => pool.shutdown({ cancelPending: true, cancelRunning: true })),
  );
});

/** Returns words that are shared with a thread, for signals. */
export function words(count = 2): Int32Array {
  return new Int32Array(new SharedArrayBuffer(count * 4));
}

/** Resolves when a thread has changed the word and notified its waiters. */
export async function changed(array: Int32Array, index = 0, from = 0): Promise<void> {
  const { async, value } = Atomics.waitAsync(array, index, from);
  // The wait alone does not keep the process alive.
  const keepAlive = setInterval(() => {}, 1000);
  if (async) await value;
  clearInterval(keepAlive);
}

/** Returns the reason with which a promise was rejected. */
export async function failure(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("expected a failure");
}
