import type { AsyncResource } from "node:async_hooks";
import { CancelledError, UsageError } from "../errors.ts";
import { captureContextFor } from "./context.ts";
import type { Loop } from "../kernel/loop.ts";
import { describe } from "../describe.ts";
import { describeOutcome, describeState } from "./describe-future.ts";
import { coroutineStack, locate } from "./stack.ts";
import { currentStrand } from "./current-strand.ts";
import { Coroutine } from "./coroutine.ts";
import { Future } from "./future.ts";
import type { FutureCore } from "./future-core.ts";
import { leavesOf } from "./leaves.ts";
import { iteratorOf, openAwaitable } from "./open.ts";
import type { Startable } from "./open.ts";
import { dropRequest, keepRequest, requestsBelow, withdrawBelow } from "./requests.ts";
import {
  AWAITING,
  CANCELLED,
  CANCELLING,
  ENDED,
  FULFILLED,
  NATIVE,
  NONE,
  OWN,
  PENDING,
  UNRETRIEVED,
  UNSTARTED,
} from "./states.ts";
import type { FutureState, PendingRequest, Phase } from "./states.ts";
import { deliver, step } from "./step.ts";
import type { AnyFuture, DeadlineScope, Frame, Leaves, Steppable, Strand, StrandTask } from "./strand.ts";
import type { TaskList } from "./task-list.ts";

/** Optional parts of a task, in an object of their own so that a sleeping task stays small. */
interface Rare {
  scope: DeadlineScope | null;
  controller: AbortController | null;
  progress: Set<(value: unknown) => void> | null;
}

const NO_OPTIONS = {};

let numbered = 0;

/** The options of a task. */
export interface TaskOptions {
  /** A name for messages and listings; `Task-1`, `Task-2` … by default. */
  name?: string | undefined;
}

/**
 * A coroutine that runs, as a Future for its outcome. `createTask` makes it.
 *
 * Its first step is in the ready queue from the start; states.ts explains the phases. Cancellation is CPython 3.13's.
 * A request goes to the awaited object. If that does not take the request, `_pending` keeps it and the next step
 * throws. By the counts of `cancel` and `uncancel`, scopes distinguish their own request from other requests.
 *
 * ```ts
 * import { createTask, run, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const task = createTask(sleep(60_000), { name: "slow" });
 *   task.cancel("not needed any more");
 *   await task.catch((error: Error) => console.log(error.message)); // not needed any more
 *   console.log(task.cancelled(), task.getName()); // true slow
 * });
 * ```
 */
export class Task<T = unknown> extends Future<T> implements Strand, StrandTask {
  /** @internal */
  readonly _coro: unknown;
  /** @internal */
  _phase: Phase = UNSTARTED;
  /** @internal */
  _gen: Steppable | null = null;
  /** @internal */
  _frame: Frame | null = null;
  /** @internal */
  _waiter: AnyFuture | null = null;
  /** @internal */
  _leaves: Leaves = null;
  /** @internal */
  _bodies = 0;
  /** @internal */
  _context: AsyncResource | null = null;
  /** @internal */
  _cancels = 0;
  /** @internal The kind of a request that nothing has taken yet; see requests.ts. */
  _pending: PendingRequest = NONE;
  /** @internal The turn of the loop in which an `async` function of the task was last woken. */
  _wokenIn = -1;
  /** @internal */
  _name: string | number;
  /** @internal */
  _previous: Task<unknown> | null = null;
  /** @internal */
  _next: Task<unknown> | null = null;
  #rare: Rare | null = null;

  /** Use `createTask`. */
  constructor(coro: unknown, loop: Loop, name: string | undefined, isExternal = false) {
    super(NO_OPTIONS, loop);
    this._coro = coro;
    this._name = name === undefined ? ++numbered : name;
    this._context = captureContextFor(this);
    loop._tasks.add(this);
    if (!isExternal) loop._push(this);
  }

  /** @internal */
  get _task(): Task<unknown> {
    return this;
  }

  /** @internal The slot for the outcome is free while the task is pending. */
  get _thrown(): unknown {
    return this._value;
  }
  /** @internal */
  set _thrown(error: unknown) {
    this._value = error;
  }

  /** @internal */
  get _scope(): DeadlineScope | null {
    return this.#rare === null ? null : this.#rare.scope;
  }
  /** @internal */
  set _scope(scope: DeadlineScope | null) {
    if (scope !== null || this.#rare !== null) this.#extend().scope = scope;
  }

  /** @internal */
  get _parent(): null {
    return null;
  }

  /** @internal */
  _run(): void {
    step(this);
  }

  /** @internal */
  _wake(): void {
    this._loop._push(this);
  }

  /** @internal */
  _towards(): Task<unknown> {
    return this;
  }

  /** @internal */
  _open(): Steppable {
    const coro = this._coro;
    if (coro instanceof Coroutine) {
      const gen = coro._begin(this);
      this._frame = coro;
      return gen;
    }
    return iteratorOf(openAwaitable(this, coro));
  }

  /** @internal */
  _finish(value: unknown): void {
    const pending = this._pending;
    dropRequest(this);
    // The task was cancelled, and returned without another suspension.
    if (pending === OWN || pending === NATIVE) this.#end(CANCELLED, null);
    else this.#end(FULFILLED, value);
  }

  /** @internal */
  _fail(error: unknown): void {
    if (error instanceof CancelledError) {
      this._message = undefined;
      this.#end(CANCELLED, error);
    } else {
      this.#end(UNRETRIEVED, error);
    }
  }

  #end(state: FutureState, value: unknown): void {
    this._phase = ENDED;
    dropRequest(this);
    if (this._gen === null && this._coro instanceof Coroutine) this._coro.close();
    this._gen = null;
    this._frame = null;
    this._context = null;
    this._loop._tasks.delete(this);
    this._settle(state, value);
  }

  /** @internal */
  _takeCancel(error: unknown, isCall = false): CancelledError | null {
    if (this._pending === NONE || (isCall && this._pending !== NATIVE)) return null;
    dropRequest(this);
    return error instanceof CancelledError ? null : this._cancelledError();
  }

  /** @internal */
  _passCancel(waiter: AnyFuture): void {
    if (this._pending !== NONE && waiter.cancel(this._message as string | undefined)) dropRequest(this);
  }

  /** @internal */
  _deliver(message: string | undefined): boolean {
    return deliver(this, message);
  }

  /**
   * Asks the task to stop: its next step throws a CancelledError with `message` at the task's suspension. The task
   * may clean up, and may even refuse. The call counts one request (see `cancelling`) and aborts `signal`. Returns
   * false if the task is done already.
   *
   * @throws {@link UsageError} (`AWAIT_CYCLE`) if the task waits for itself through other tasks, which no event would
   *   ever wake.
   */
  override cancel(message?: string): boolean {
    if (this._state !== PENDING) {
      this._retrieved();
      return false;
    }
    this._cancels++;
    if (this.#rare !== null) this._abort(new CancelledError(message));
    try {
      if ((this._waiter !== null || this._leaves !== null) && this.#passOn(message)) return true;
    } catch (error) {
      this._cancels--;
      throw error;
    }
    keepRequest(this);
    this._message = message;
    return true;
  }

  #passOn(message: string | undefined): boolean {
    const phase = this._phase;
    if (phase === CANCELLING) {
      throw new UsageError(
        "AWAIT_CYCLE",
        `${describe(this)} is in a circle of tasks that await each other, where a cancel never arrives: ` +
          "let one of them wait for something else",
      );
    }
    this._phase = CANCELLING;
    try {
      return deliver(this, message);
    } finally {
      this._phase = phase;
    }
  }

  /**
   * Returns the number of open requests to cancel: `cancel` counts up, `uncancel` down. The requests of timeouts and
   * groups that cancel their bodies are included. Within a branch of a `Promise.all`, only the requests to that branch
   * and around it count.
   */
  cancelling(): number {
    const strand = this.#strandHere();
    return strand === null ? this._cancels + requestsBelow(this) : strand._requests();
  }

  /** Withdraws one request to cancel, and returns the number that is left. At 0 an undelivered request is void. */
  uncancel(): number {
    const strand = this.#strandHere();
    if (strand !== null) return strand._withdraw();
    if (!withdrawBelow(this)) this._withdraw();
    return this.cancelling();
  }

  /** Returns the strand of this task whose code runs now, or null. */
  #strandHere(): Strand | null {
    const strand = currentStrand();
    return strand !== null && strand._task === (this as Task<unknown>) ? strand : null;
  }

  /** @internal */
  _requests(): number {
    return this._cancels;
  }

  /** @internal */
  _withdraw(): number {
    if (this._cancels > 0) {
      this._cancels--;
      if (this._cancels === 0) {
        dropRequest(this);
        if (this.#rare !== null) this.#rare.controller = null;
      }
    }
    return this._cancels;
  }

  /** @internal */
  _abort(error: CancelledError): void {
    this.#rare?.controller?.abort(error);
  }

  /** @internal */
  _recancel(): void {
    if (this._cancels > 0) {
      this._withdraw();
      this.cancel();
    }
  }

  /** @throws {@link UsageError} always: the coroutine of a task settles it. */
  override setResult(_result: T): never {
    throw new UsageError(
      "TASK_SETTLED",
      "Task does not support setResult operation: its coroutine settles it",
    );
  }

  /** @throws {@link UsageError} always: the coroutine of a task settles it. */
  override setException(_error: unknown): never {
    throw new UsageError(
      "TASK_SETTLED",
      "Task does not support setException operation: its coroutine settles it",
    );
  }

  /** Returns the task's name. */
  getName(): string {
    return typeof this._name === "number" ? `Task-${this._name}` : this._name;
  }

  /** Names the task. */
  setName(name: string): void {
    this._name = name;
  }

  /** Returns the work of the task: a coroutine, a generator, a function or a promise. */
  getCoro(): unknown {
    return this._coro;
  }

  /**
   * An AbortSignal for native calls. A cancellation of the task aborts it, with the CancelledError as reason.
   * Read it for each call: after a cancellation was withdrawn (`uncancel`), there is a fresh signal.
   */
  get signal(): AbortSignal {
    return (this.#strandHere() ?? this)._signal();
  }

  /** @internal */
  _signal(): AbortSignal {
    const rare = this.#extend();
    if (rare.controller === null) {
      rare.controller = new AbortController();
      if (this._cancels > 0) rare.controller.abort(new CancelledError(this._message as string | undefined));
    }
    return rare.controller.signal;
  }

  /**
   * Encloses the task in a deadline that its caller watches elsewhere, such as in another thread. `when` is a time
   * of the loop's `time()`. `currentDeadline()` in the task and in its group tasks then counts this deadline. The
   * deadline itself cancels nothing.
   *
   * ```ts
   * import { createTask, currentDeadline, getRunningLoop, run } from "@taskloom/loop";
   *
   * await run(async () => {
   *   const when = getRunningLoop().time() + 1000;
   *   const task = createTask(async () => currentDeadline() === when);
   *   task.bindDeadline(when);
   *   console.log(await task); // true
   * });
   * ```
   */
  bindDeadline(when: number): void {
    this._scope = { _outer: this._scope, _deadline: () => when };
  }

  /** Calls `listener` with each value of `reportProgress`. Returns a function that removes the listener. */
  onProgress(listener: (value: unknown) => void): () => void {
    const rare = this.#extend();
    rare.progress ??= new Set();
    rare.progress.add(listener);
    return () => rare.progress?.delete(listener);
  }

  /** Reports progress to the listeners of `onProgress`. */
  reportProgress(value: unknown): void {
    const listeners = this.#rare?.progress;
    if (!listeners) return;
    for (const listener of listeners) {
      try {
        listener(value);
      } catch (error) {
        this._loop.callExceptionHandler({ message: "Exception in a progress listener", exception: error });
      }
    }
  }

  #extend(): Rare {
    this.#rare ??= { scope: null, controller: null, progress: null };
    return this.#rare;
  }

  /**
   * Returns the position of the task: one line for each coroutine, innermost last, as in an Error's stack. It is empty
   * once the task is done. The position within an `async` function is unknown; its name is shown.
   */
  getStack(): string[] {
    return coroutineStack(this);
  }

  /** Prints `getStack()`, to standard error unless a `write` function is given. */
  printStack(write: (text: string) => void = (text) => void process.stderr.write(text)): void {
    const stack = this.getStack();
    const head = stack.length === 0 ? `No stack for ${describe(this)}` : `Stack for ${describe(this)}:`;
    write([head, ...stack.map((line) => `    ${line}`), ""].join("\n"));
  }

  /** @internal */
  override _describe(): string {
    const waits = this._phase === AWAITING && this._waiter !== null ? ` waitFor=${waitedBy(this)}` : "";
    const state = this._state === PENDING && this.cancelling() > 0 ? "cancelling" : describeState(this);
    return (
      `<${this.constructor.name} ${state} name='${this.getName()}' coro=<${this._where()}>` +
      `${waits}${describeOutcome(this)}>`
    );
  }

  /** @internal */
  _where(): string {
    return locate(this);
  }
}

/** Returns the awaits of an async function, if they are Taskloom's; else the function's own promise. */
function waitedBy(task: Task<unknown>): string {
  const leaves = leavesOf(task);
  return leaves.length === 0 ? waited(task._waiter) : leaves.map((leaf) => waited(leaf._waitsFor)).join(" ");
}

function waited(awaitable: unknown): string {
  if (awaitable instanceof Task)
    return `<${awaitable.constructor.name} ${describeState(awaitable)} name='${awaitable.getName()}'>`;
  return describe(awaitable);
}

declare module "../kernel/loop.ts" {
  interface Loop {
    createFuture<T = unknown>(): Future<T>;
    createTask<T>(work: Startable<T>, options?: TaskOptions): Task<T>;
    /** @internal */
    readonly _tasks: TaskList<Task<unknown>>;
    /** @internal The failures that no code has read yet. */
    readonly _failures: {
      recorded(future: FutureCore<unknown>): void;
      retrieved(future: FutureCore<unknown>): void;
    };
    /** @internal Made for the first one. */
    _asyncGenerators: Set<AsyncGenerator<unknown, unknown, never>> | null;
  }
}
