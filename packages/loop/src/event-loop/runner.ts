import { isMainThread } from "node:worker_threads";
import { CancelledError, UsageError } from "../errors.ts";
import type { Clock } from "../kernel/clock.ts";
import { EventLoop } from "./event-loop.ts";
import { insideLoop } from "../task/running.ts";
import { Lifecycle } from "../lifecycle.ts";
import type { Life, LifeState } from "../lifecycle.ts";
import type { Startable } from "../task/open.ts";
import type { Task } from "../task/task.ts";
import { describe } from "../describe.ts";
import { gather } from "../waiting/gather.ts";
import { endsProcess, onStopSignals } from "./stop-signals.ts";

/** The options of `run` and of a Runner. */
export interface RunOptions {
  /** Whether debug mode is on. */
  debug?: boolean | undefined;
  /** The source of time. */
  clock?: Clock | undefined;
  /**
   * Whether the first SIGINT or SIGTERM cancels the main task, and the second ends the process. A signal within
   * 100 ms of the first is its echo and is ignored. By default the signals are handled on the main thread, except
   * those for which the program has a handler.
   */
  handleSignals?: boolean | undefined;
  /** A function that makes the loop. */
  loopFactory?: (() => EventLoop) | undefined;
}

/**
 * Runs several main functions in one loop, one after the other. `run` uses a Runner for one call.
 *
 * A Runner makes its loop at the first use, and has none after `close()`.
 *
 * ```ts
 * import { Runner, sleep } from "@taskloom/loop";
 *
 * const runner = new Runner();
 * console.log(await runner.run(sleep(1, "one")), await runner.run(sleep(1, "two"))); // one two
 * await runner.close();
 * ```
 */
export class Runner implements Life {
  readonly #options: RunOptions;
  #loop: EventLoop | null = null;
  readonly #life = new Lifecycle(() => new UsageError("RUNNER_CLOSED", "Runner is closed: make a new one"));

  constructor(options: RunOptions = {}) {
    this.#options = options;
  }

  /** `open` until `close()`; `stopped` when the loop is closed. */
  get state(): LifeState {
    return this.#life.state;
  }

  /**
   * Returns the loop, and makes it at the first call.
   *
   * @throws {@link UsageError} (`RUNNER_CLOSED`) after `close()`.
   */
  getLoop(): EventLoop {
    this.#life.assertOpen();
    if (this.#loop === null) {
      const { debug, clock, loopFactory } = this.#options;
      this.#loop = loopFactory === undefined ? new EventLoop({ clock, debug }) : loopFactory();
      if (loopFactory !== undefined && debug !== undefined) this.#loop.setDebug(debug);
    }
    return this.#loop;
  }

  /**
   * Runs `main` in the loop until it is done, and returns its result.
   *
   * @throws the error of `main`.
   * @throws {@link UsageError} (`NESTED_RUN`) inside a running loop.
   */
  async run<T>(main: Startable<T>): Promise<T> {
    if (insideLoop() !== null) {
      throw new UsageError(
        "NESTED_RUN",
        "run() cannot be called from a running event loop: await the coroutine, or createTask() it",
      );
    }
    const loop = this.getLoop();
    const task: Task<T> = loop.createTask(main);
    const handles = this.#options.handleSignals ?? isMainThread;
    const stopSignals = handles ? onStopSignals(task, this.#options.handleSignals === true) : null;
    try {
      return await loop.runUntilComplete(task);
    } catch (error) {
      if (stopSignals?.received !== undefined && error instanceof CancelledError && task.uncancel() === 0) {
        endsProcess(error, stopSignals.exitCode);
      }
      throw error;
    } finally {
      stopSignals?.stop();
    }
  }

  /** Cancels the tasks that are left, waits for them, and closes executors and the loop. */
  close(): Promise<void> {
    return this.#life.stop(() => this.#close());
  }

  async #close(): Promise<void> {
    const loop = this.#loop;
    if (loop === null || loop.isClosed()) return;
    this.#loop = null;
    try {
      await cancelAll(loop);
      await loop.runUntilComplete(() => loop._shutdown());
    } finally {
      loop.close();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The time after which run() at its end warns about the tasks that it still waits for. */
const PATIENCE_MS = 5000;

async function cancelAll(loop: EventLoop): Promise<void> {
  const tasks = [...loop._tasks].filter((task) => {
    try {
      return task.cancel();
    } catch (exception) {
      // Tasks that await each other cannot end, so this run does not wait for them.
      loop.callExceptionHandler({
        message: "A task could not be cancelled when run() ended",
        exception,
        task,
      });
      return false;
    }
  });
  if (tasks.length === 0) return;
  const patience = setTimeout(() => {
    const left = tasks.filter((task) => !task.done()).map((task) => describe(task));
    process.emitWarning(
      `run() is over but still waits for tasks that were cancelled ${PATIENCE_MS} ms ago: ${left.join(", ")}. ` +
        "They swallow the cancellation, or await a native promise: give that currentTask().signal",
      { type: "RuntimeWarning", code: "CANCELLED_TASKS_LEFT" },
    );
  }, PATIENCE_MS);
  patience.unref();
  try {
    await loop.runUntilComplete(gather(tasks, { returnExceptions: true }));
  } finally {
    clearTimeout(patience);
  }
  for (const task of tasks) {
    if (task.cancelled()) continue;
    const exception = task.exception();
    if (exception !== undefined) {
      loop.callExceptionHandler({
        message: "unhandled exception during run() shutdown",
        exception,
        task,
      });
    }
  }
}

/**
 * Runs `main` in a loop of its own, and returns its result. At the end it cancels the tasks that are left, waits for
 * them, closes executors, and closes the loop. It is the entry point of a program.
 *
 * @throws the error of `main`.
 * @throws {@link UsageError} (`NESTED_RUN`) inside a running loop.
 *
 * ```ts
 * import { run, sleep } from "@taskloom/loop";
 *
 * const answer = await run(function* main() {
 *   yield* sleep(1);
 *   return 42;
 * });
 * console.log(answer); // 42
 * ```
 */
export async function run<T>(main: Startable<T>, options: RunOptions = {}): Promise<T> {
  const runner = new Runner(options);
  try {
    return await runner.run(main);
  } finally {
    await runner.close();
  }
}
