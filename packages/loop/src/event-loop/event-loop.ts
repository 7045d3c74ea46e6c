import { ArgumentError, UsageError } from "../errors.ts";
import type { DeadlockError } from "../errors.ts";
import { Failures } from "../diagnosis/failures.ts";
import { ThreadMetrics } from "../diagnosis/metrics.ts";
import type { LoopMetrics } from "../diagnosis/metrics.ts";
import { Monitor } from "../diagnosis/monitor.ts";
import { describeDeadlock } from "../diagnosis/deadlock.ts";
import { reportDropped } from "../task/dropped.ts";
import { reportException } from "../kernel/exceptions.ts";
import type { ExceptionContext } from "../kernel/exceptions.ts";
import type { Executor } from "./executor.ts";
import { Future } from "../task/future.ts";
import type { Startable } from "../task/open.ts";
import { isGenerator } from "../task/generator-object.ts";
import { adopt, isAwaitable } from "../task/open.ts";
import { describe } from "../describe.ts";
import { Task as TaskClass } from "../task/task.ts";
import type { Task, TaskOptions } from "../task/task.ts";
import { TaskList } from "../task/task-list.ts";
import { systemClock } from "../kernel/clock.ts";
import type { Clock } from "../kernel/clock.ts";
import type { Loop } from "../kernel/loop.ts";
import { captureContext } from "../task/context.ts";
import { Handle, TimerHandle } from "../kernel/handle.ts";
import { activeLoops, insideLoop, setDefaultLoopMaker } from "../task/running.ts";
import { LoopIo } from "./loop-io.ts";

/** The options of a loop. */
export interface EventLoopOptions {
  /** The source of time; the system's monotonic clock by default. */
  clock?: Clock | undefined;
  /** Whether debug mode is on; by default, whether `TASKLOOM_DEBUG` is `1`. */
  debug?: boolean | undefined;
}

/** A function that makes the tasks of a loop. */
export type TaskFactory = (loop: EventLoop, work: Startable<unknown>, options: TaskOptions) => Task<unknown>;

/** A function that receives each error that no awaiter will receive. */
export type ExceptionHandler = (loop: EventLoop, context: ExceptionContext) => void;

/**
 * An event loop on top of Node's. It runs tasks and callbacks one at a time, in asyncio's order. A loop that a program
 * makes runs while a call of `runForever` or `runUntilComplete` is pending.
 *
 * ```ts
 * import { EventLoop, sleep } from "@taskloom/loop";
 *
 * const loop = new EventLoop();
 * const answer = await loop.runUntilComplete(async () => {
 *   await sleep(1);
 *   return 42;
 * });
 * loop.close();
 * console.log(answer); // 42
 * ```
 */
export class EventLoop extends LoopIo implements Loop {
  /** The limit in milliseconds above which debug mode logs a callback that held the loop. */
  slowCallbackDuration = 100;
  /** @internal */
  readonly _tasks: TaskList<Task<unknown>> = new TaskList<Task<unknown>>();
  /** @internal */
  readonly _failures: Failures = new Failures(this);
  /** @internal */
  _asyncGenerators: Set<AsyncGenerator<unknown, unknown, never>> | null = null;
  #running: { resolve: () => void; reject: (error: Error) => void; isUntilComplete: boolean } | null = null;
  #isClosed = false;
  #debug = false;
  #exceptionHandler: ExceptionHandler | null = null;
  #taskFactory: TaskFactory | null = null;
  #executor: Executor | null = null;
  #metrics: ThreadMetrics | null = null;
  #shutdownHooks: Set<() => Promise<void> | void> | null = null;

  constructor(options: EventLoopOptions = {}) {
    super(options.clock ?? systemClock);
    this.setDebug(options.debug ?? process.env["TASKLOOM_DEBUG"] === "1");
  }

  /** @internal */
  _asEventLoop(): this {
    return this;
  }

  /** @internal */
  _active(): boolean {
    return this.#running !== null;
  }

  protected _stopped(error?: Error): void {
    const running = this.#running;
    if (running === null) return;
    this.#running = null;
    activeLoops.splice(activeLoops.indexOf(this), 1);
    this._release();
    if (error === undefined) running.resolve();
    else running.reject(error);
  }

  protected _describeDeadlock(): DeadlockError | null {
    return this.#running?.isUntilComplete ? describeDeadlock(this) : null;
  }

  protected _afterTurn(): void {
    this._failures.watchUnretrieved();
  }

  /** Schedules `callback(...args)` for the next iteration, behind the entries that are ready already. */
  callSoon<A extends unknown[]>(callback: (...args: A) => unknown, ...args: A): Handle {
    this.#check(callback, "callSoon");
    const handle = new Handle(callback, args, this, captureContext());
    this._monitor?.made(handle);
    this._push(handle);
    return handle;
  }

  /** Does the same as `callSoon`: no other thread can call into this one. */
  callSoonThreadsafe<A extends unknown[]>(callback: (...args: A) => unknown, ...args: A): Handle {
    return this.callSoon(callback, ...args);
  }

  /** Schedules `callback(...args)` in `delay` milliseconds. Equal deadlines run in the order they were set. */
  callLater<A extends unknown[]>(delay: number, callback: (...args: A) => unknown, ...args: A): TimerHandle {
    return this.#at(this.time() + delay, callback, args);
  }

  /** Schedules `callback(...args)` for a time of this loop's `time()`. */
  callAt<A extends unknown[]>(when: number, callback: (...args: A) => unknown, ...args: A): TimerHandle {
    return this.#at(when, callback, args);
  }

  #at(when: number, callback: (...args: never[]) => unknown, args: readonly unknown[]): TimerHandle {
    this.#check(callback, "callAt");
    if (typeof when !== "number" || Number.isNaN(when)) {
      throw new ArgumentError(`Expected a number of milliseconds as time, got ${describe(when)}`);
    }
    const handle = new TimerHandle(when, callback, args, this, captureContext());
    this._monitor?.made(handle);
    this._addTimer(when, handle);
    return handle;
  }

  #check(callback: unknown, method: string): void {
    this._checkClosed();
    if (typeof callback !== "function") {
      throw new ArgumentError(`Expected a function for ${method}(), got ${describe(callback)}`);
    }
  }

  /** @internal */
  _checkClosed(): void {
    if (this.#isClosed) throw new UsageError("LOOP_CLOSED", "Event loop is closed: make a new one");
  }

  /** Returns a new pending Future of this loop. */
  createFuture<T = unknown>(): Future<T> {
    return new Future<T>(undefined, this);
  }

  /** Makes a Task of an awaitable, or of a function that returns one. Its first step is in the next iteration. */
  createTask<T>(work: Startable<T>, options: TaskOptions = {}): Task<T> {
    this._checkClosed();
    if (this.#taskFactory !== null) return this.#taskFactory(this, work, options) as Task<T>;
    if (isGenerator(work)) return new TaskClass<T>(work, this, options.name);
    if (typeof work !== "function" && !isAwaitable(work)) {
      throw new ArgumentError(
        `a coroutine was expected, got ${describe(work)}: give something to await, or a function that returns it`,
      );
    }
    adopt(work);
    return new TaskClass<T>(work, this, options.name);
  }

  /** Makes `createTask` call `factory`; null restores the usual tasks. */
  setTaskFactory(factory: TaskFactory | null): void {
    this.#taskFactory = factory;
  }

  /** Returns the factory of `setTaskFactory`, or null. */
  getTaskFactory(): TaskFactory | null {
    return this.#taskFactory;
  }

  /** Runs until `stop()` is called. */
  runForever(): Promise<void> {
    return this.#start(false);
  }

  /** Runs until `work` is done, and returns its result or throws its error. */
  async runUntilComplete<T>(work: Startable<T>): Promise<T> {
    this._checkClosed();
    this.#checkNotRunning();
    const future: Future<T> = work instanceof Future ? (work as Future<T>) : this.createTask(work);
    const stop = (): void => this.stop();
    future.addDoneCallback(stop);
    try {
      await this.#start(true);
    } finally {
      future.removeDoneCallback(stop);
    }
    if (!future.done()) {
      throw new UsageError(
        "LOOP_STOPPED",
        "Event loop stopped before Future completed: do not call stop() early",
      );
    }
    return future.result();
  }

  #checkNotRunning(): void {
    if (this.isRunning()) throw new UsageError("LOOP_RUNNING", "This event loop is already running");
    if (insideLoop() !== null) {
      throw new UsageError(
        "LOOP_RUNNING",
        "Cannot run the event loop while another loop is running: await the work, or createTask() it",
      );
    }
  }

  #start(isUntilComplete: boolean): Promise<void> {
    this._checkClosed();
    this.#checkNotRunning();
    return new Promise((resolve, reject) => {
      this.#running = { resolve, reject, isUntilComplete };
      activeLoops.push(this);
      this._hold();
      this._nudge();
    });
  }

  /** Ends `runForever` after the current iteration. */
  stop(): void {
    this._stopping = true;
    this._nudge();
  }

  /** Returns whether `runForever` or `runUntilComplete` is pending. */
  isRunning(): boolean {
    return this.#running !== null;
  }

  /** Returns whether the loop was closed. */
  isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Removes all scheduled callbacks, and reports the failures that no code has read.
   *
   * @throws {@link UsageError} (`LOOP_RUNNING`) if the loop is running.
   */
  close(): void {
    if (this.isRunning())
      throw new UsageError("LOOP_RUNNING", "Cannot close a running event loop: stop() it first");
    if (this.#isClosed) return;
    this._failures.reportAll();
    this._closeIo();
    this.#isClosed = true;
    this.#metrics?.stop();
    this._clearQueues();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Returns whether debug mode is on. */
  getDebug(): boolean {
    return this.#debug;
  }

  /** Turns debug mode on or off. It reports slow callbacks, dropped coroutines and unread errors, with their origin. */
  setDebug(enabled: boolean): void {
    this.#debug = enabled;
    this._monitor = enabled ? new Monitor(this) : null;
    if (enabled) reportDropped.enabled = true;
  }

  /** Makes the loop call `handler(loop, context)` for each error that no awaiter will receive; null logs the errors. */
  setExceptionHandler(handler: ExceptionHandler | null): void {
    if (handler !== null && typeof handler !== "function") {
      throw new ArgumentError(`A callable object or null is expected, got ${describe(handler)}`);
    }
    this.#exceptionHandler = handler;
  }

  /** Returns the handler of `setExceptionHandler`, or null. */
  getExceptionHandler(): ExceptionHandler | null {
    return this.#exceptionHandler;
  }

  /** Logs an error that no awaiter will receive. */
  defaultExceptionHandler(context: ExceptionContext): void {
    reportException(context);
  }

  /** Calls the exception handler. */
  callExceptionHandler(context: ExceptionContext): void {
    if (this.#exceptionHandler === null) {
      this.defaultExceptionHandler(context);
      return;
    }
    try {
      this.#exceptionHandler(this, context);
    } catch (error) {
      this.defaultExceptionHandler({ message: "Unhandled error in exception handler", exception: error });
      this.defaultExceptionHandler(context);
    }
  }

  /** Sets the executor of `runInExecutor(null, …)`. */
  setDefaultExecutor(executor: Executor | null): void {
    this.#executor = executor;
  }

  /** Returns the executor of `setDefaultExecutor`, or null. */
  getDefaultExecutor(): Executor | null {
    return this.#executor;
  }

  /**
   * Runs `fn(...args)` on an executor as a Task; null is the default executor.
   *
   * @throws {@link UsageError} (`NO_EXECUTOR`) if `executor` is null and the loop has no default executor.
   */
  runInExecutor<A extends unknown[], R>(
    executor: Executor | null,
    fn: (...args: A) => R,
    ...args: A
  ): Task<Awaited<R>> {
    this._checkClosed();
    const chosen = executor ?? this.#executor;
    if (chosen === null) {
      throw new UsageError(
        "NO_EXECUTOR",
        "This loop has no default executor: pass one, or loop.setDefaultExecutor(new ThreadPoolExecutor()) " +
          "of @taskloom/offload",
      );
    }
    return chosen.submit(fn, ...args);
  }

  /** Closes the unfinished async generators of `asyncGenerator(fn)`. */
  async shutdownAsyncgens(): Promise<void> {
    const generators = [...(this._asyncGenerators ?? [])];
    this._asyncGenerators = null;
    const outcomes = await Promise.allSettled(generators.map((generator) => generator.return(undefined)));
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.status === "rejected") {
        this.callExceptionHandler({
          message: `an error occurred during closing of asynchronous generator ${describe(generators[i])}`,
          exception: outcome.reason,
        });
      }
    }
  }

  /** Shuts the default executor down, and waits for its running calls. */
  async shutdownDefaultExecutor(): Promise<void> {
    const executor = this.#executor;
    this.#executor = null;
    if (executor !== null) await executor.shutdown();
  }

  /** Adds a function that `run()` awaits when it shuts the loop down. Returns a function that removes `hook`. */
  addShutdownHook(hook: () => Promise<void> | void): () => void {
    const hooks = (this.#shutdownHooks ??= new Set());
    hooks.add(hook);
    return () => hooks.delete(hook);
  }

  /**
   * Returns the load of the loop. Delay and utilization are those of the thread since the previous call.
   *
   * ```ts
   * import { getRunningLoop, run } from "@taskloom/loop";
   * await run(async () => console.log(getRunningLoop().metrics().tasks)); // 1
   * ```
   */
  metrics(): LoopMetrics {
    return {
      iterations: this._iterations,
      ready: this._readySize,
      timers: this._timers.size,
      tasks: this._tasks.size,
      ...(this.#metrics ??= new ThreadMetrics()).read(),
    };
  }

  /** @internal */
  async _shutdown(): Promise<void> {
    await this.shutdownAsyncgens();
    await this.shutdownDefaultExecutor();
    const hooks = this.#shutdownHooks;
    for (const hook of hooks ?? []) {
      hooks!.delete(hook);
      // oxlint-disable-next-line no-await-in-loop -- one after the other, in the order they were added
      await hook();
    }
    await this._shutdownIo();
  }
}

declare module "../kernel/loop.ts" {
  interface LoopTypes {
    eventLoop: EventLoop;
  }
}

/** The process's default loop. It runs whenever it has an entry or a timer, until it is closed. */
class DefaultLoop extends EventLoop {
  constructor() {
    super();
    process.once("exit", () => this._failures.reportAll());
  }

  /** @internal */
  override _active(): boolean {
    return super._active() || !this.isClosed();
  }
}

setDefaultLoopMaker(() => new DefaultLoop());

/**
 * Makes a loop, as `new EventLoop(options)` does.
 *
 * ```ts
 * import { newEventLoop, sleep } from "@taskloom/loop";
 *
 * const loop = newEventLoop();
 * console.log(await loop.runUntilComplete(sleep(1, "done"))); // done
 * loop.close();
 * ```
 */
export function newEventLoop(options: EventLoopOptions = {}): EventLoop {
  return new EventLoop(options);
}
