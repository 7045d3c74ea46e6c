import { describesItself } from "../describe.ts";
import type { AsyncResource } from "node:async_hooks";
import { inspect } from "node:util";
import type { ExceptionContext } from "./exceptions.ts";
import type { Runnable } from "./runnable.ts";
import type { Timer } from "./timer-heap.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- any function can be a callback; its arguments are checked where it is given
type AnyFunction = (...args: any[]) => unknown;

/** The loop of a handle, as far as the handle needs it. */
interface HandleOwner {
  /** @internal */
  readonly _monitor: { sourceOf(thing: object): string | undefined } | null;
  callExceptionHandler(context: ExceptionContext): void;
  /** @internal */
  _timerCancelled(): void;
}

/**
 * A scheduled callback. `callSoon` returns it.
 *
 * ```ts
 * import { getRunningLoop, run, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const handle = getRunningLoop().callSoon(() => console.log("not printed"));
 *   handle.cancel();
 *   await sleep(0);
 *   console.log(handle.cancelled()); // true
 * });
 * ```
 */
export class Handle implements Runnable {
  /** @internal Null once the handle is cancelled. */
  _callback: AnyFunction | null;
  /** @internal */
  _args: readonly unknown[]; // Null once the handle is cancelled: null needs no write barrier.
  /** @internal */
  readonly _loop: HandleOwner;
  /** @internal */
  readonly _context: AsyncResource | null;

  /** Made by the library. */
  constructor(
    callback: AnyFunction,
    args: readonly unknown[],
    loop: HandleOwner,
    context: AsyncResource | null,
  ) {
    this._callback = callback;
    this._args = args;
    this._loop = loop;
    this._context = context;
  }

  /**
   * Cancels the callback, so that it does not run. A second call changes nothing.
   *
   * ```ts
   * import { run, getRunningLoop } from "@taskloom/loop";
   * await run(async () => {
   *   const handle = getRunningLoop().callSoon(() => console.log("never"));
   *   handle.cancel();
   * });
   * ```
   */
  cancel(): void {
    this._callback = null;
    this._args = null as never;
  }

  /** Returns whether `cancel()` was called. */
  cancelled(): boolean {
    return this._callback === null;
  }

  /** @internal */
  _run(): void {
    const callback = this._callback;
    if (callback === null) return;
    // A local copy, because the callback may cancel its own handle and fail afterwards.
    const args = this._args;
    try {
      if (this._context !== null) {
        this._context.runInAsyncScope(callback, undefined, ...args);
      } else {
        if (args.length === 0) callback();
        else if (args.length === 1) callback(args[0]);
        else callback(...args);
      }
    } catch (error) {
      this._loop.callExceptionHandler({
        message: `Exception in callback ${describeCallback(callback, args)}`,
        exception: error,
        handle: this,
        sourceTraceback: this._loop._monitor?.sourceOf(this),
      });
    }
  }

  /** @internal */
  _describe(): string {
    return `<${this.constructor.name} ${this._details()}>`;
  }

  /** @internal */
  _details(): string {
    const callback = this._callback;
    return callback === null ? "cancelled" : describeCallback(callback, this._args);
  }
}

/**
 * A callback that is scheduled for a time. `callLater` and `callAt` return it.
 *
 * ```ts
 * import { getRunningLoop, run } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const loop = getRunningLoop();
 *   const timer = loop.callAt(loop.time() + 1000, () => {});
 *   console.log(timer.when() > loop.time()); // true
 *   timer.cancel();
 * });
 * ```
 */
export class TimerHandle extends Handle implements Timer {
  /** @internal */
  _sequence = 0;
  readonly #when: number;

  /** Made by the library. */
  constructor(
    when: number,
    callback: AnyFunction,
    args: readonly unknown[],
    loop: HandleOwner,
    context: AsyncResource | null,
  ) {
    super(callback, args, loop, context);
    this.#when = when;
  }

  /** @internal */
  get _dead(): boolean {
    return this._callback === null;
  }

  /** Returns the deadline, in milliseconds of the loop's `time()`. */
  when(): number {
    return this.#when;
  }

  override cancel(): void {
    if (this._callback === null) return;
    if (this._sequence > 0) this._loop._timerCancelled();
    this._callback = null;
    this._args = null as never;
  }

  /** @internal */
  override _details(): string {
    return `when=${this.#when} ${super._details()}`;
  }
}

describesItself(Handle);

/** Returns a callback as text: `name(arguments)`. */
export function describeCallback(callback: AnyFunction, args: readonly unknown[]): string {
  const shown = args.map((arg) => inspect(arg, { depth: 0, breakLength: Infinity })).join(", ");
  return `${callback.name === "" ? "<anonymous>" : callback.name}(${shown})`;
}
