import { ArgumentError } from "../errors.ts";
import { describe } from "../describe.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { requireStrand } from "../task/current.ts";
import { Future } from "../task/future.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";

/** The condition on which `wait` returns. */
export type ReturnWhen = "ALL_COMPLETED" | "FIRST_COMPLETED" | "FIRST_EXCEPTION";

/** The options of `wait`. */
export interface WaitOptions extends SignalOption {
  /** Milliseconds after which `wait` returns without an error, even if futures are pending. */
  timeout?: number | null | undefined;
  /** All futures, the first, or the first that fails. `ALL_COMPLETED` by default. */
  returnWhen?: ReturnWhen | undefined;
}

/**
 * Waits until all futures are done, the first is done, or the first has failed, or until the timeout. `wait`
 * never cancels a future and never throws its error. Returns the sets of done and of pending futures, in the
 * order of the arguments.
 *
 * ```ts
 * import { createTask, run, sleep, wait } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const tasks = [createTask(sleep(1)), createTask(sleep(60_000))];
 *   const { done, pending } = await wait(tasks, { returnWhen: "FIRST_COMPLETED" });
 *   console.log(done.size, pending.size); // 1 1
 * });
 * ```
 */
export function wait<F extends Future<unknown>>(
  futures: Iterable<F>,
  options: WaitOptions = {},
): Coroutine<{ done: Set<F>; pending: Set<F> }> {
  if (futures instanceof Future) {
    throw new ArgumentError(`expect a list of futures, not ${describe(futures)}`);
  }
  const all = new Set(futures);
  if (all.size === 0) throw new ArgumentError("Set of Tasks/Futures is empty: give at least one to wait for");
  for (const future of all) {
    if (!(future instanceof Future)) {
      throw new ArgumentError(
        `Passing coroutines is forbidden, use tasks explicitly: createTask(${describe(future)})`,
      );
    }
  }
  const { returnWhen = "ALL_COMPLETED", timeout = null } = options;
  if (
    returnWhen !== "ALL_COMPLETED" &&
    returnWhen !== "FIRST_COMPLETED" &&
    returnWhen !== "FIRST_EXCEPTION"
  ) {
    throw new ArgumentError(`Invalid returnWhen value: ${describe(returnWhen)}`);
  }
  return routine("wait", () => waiting(all, timeout, returnWhen), options.signal);
}

function* waiting<F extends Future<unknown>>(
  futures: Set<F>,
  timeout: number | null,
  returnWhen: ReturnWhen,
): Generator<never, { done: Set<F>; pending: Set<F> }, unknown> {
  const loop = requireStrand("wait")._loop;
  const waiter = loop.createFuture<undefined>();
  const release = (): void => {
    if (!waiter.done()) waiter.setResult(undefined);
  };
  const timer = timeout === null ? null : loop.callLater(timeout, release);
  let left = futures.size;
  const completed = (future: Future<unknown>): void => {
    left--;
    if (
      left <= 0 ||
      returnWhen === "FIRST_COMPLETED" ||
      (returnWhen === "FIRST_EXCEPTION" && !future.cancelled() && hasFailed(future))
    ) {
      timer?.cancel();
      release();
    }
  };
  for (const future of futures) future._addLink(completed, waiter);
  try {
    yield* waiter;
  } finally {
    timer?.cancel();
    for (const future of futures) future.removeDoneCallback(completed);
  }
  const done = new Set<F>();
  const pending = new Set<F>();
  for (const future of futures) (future.done() ? done : pending).add(future);
  return { done, pending };
}

/** Marks the error as retrieved, as asyncio does, and returns whether the future has failed. */
function hasFailed(future: Future<unknown>): boolean {
  future._retrieved();
  return future._failed;
}
