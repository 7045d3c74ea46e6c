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
 * A callback that is to be run: what `callSoon` returns.
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
  /** @internal null when cancelled */
  _callback: AnyFunction | null;
  /** @internal */
  _args: readonly unknown[]; // null, which needs no write barrier, once it is cancelled
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
   * Cancels the callback: it will not run. Cancelling twice changes nothing.
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

  /** Whether `cancel()` was called. */
  cancelled(): boolean {
    return this._callback === null;
  }

  /** @internal */
  _run(): void {
    const callback = this._callback;
    if (callback === null) return;
    // Kept here: the callback may cancel its own handle, and fail afterwards.
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
 * A callback that is to be run at a time: what `callLater` and `callAt` return.
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

  /** The deadline, in milliseconds of the loop's `time()`. */
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

/** A callback as a reader can recognise it: `name(arguments)`. */
export function describeCallback(callback: AnyFunction, args: readonly unknown[]): string {
  const shown = args.map((arg) => inspect(arg, { depth: 0, breakLength: Infinity })).join(", ");
  return `${callback.name === "" ? "<anonymous>" : callback.name}(${shown})`;
}
