import { CancelledError } from "../errors.ts";
import type { Loop } from "../kernel/loop.ts";
import { currentLoop } from "./running.ts";
import { CANCELLED, ENDED, FULFILLED, PENDING, UNRETRIEVED } from "./states.ts";
import type { FutureState } from "./states.ts";
import type { Waker } from "./strand.ts";
import { Task } from "./task.ts";

/** The options of an ExternalTask. */
export interface ExternalTaskOptions {
  /** The task's loop; by default the running loop, else the process's default loop. */
  loop?: Loop | undefined;
  /** The task's name; `Task-<n>` by default. */
  name?: string | undefined;
  /** A description of the work, for messages. */
  description?: string | undefined;
  /** Receives every request to cancel. The place of the work decides when and how the task ends. */
  requestCancel?: ((error: CancelledError) => void) | undefined;
  /** False if the work runs on the task's own loop, so that a virtual clock does not stand still. True by default. */
  isOutside?: boolean | undefined;
}

/**
 * A Task whose body runs in another place: on a thread, or in another process. That place settles the task. While
 * the task is pending, a virtual clock does not advance. While an awaiter waits for it, the process stays alive.
 *
 * ```ts
 * import { ExternalTask, run } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const task = new ExternalTask<number>({ requestCancel: (error) => task.fail(error) });
 *   setTimeout(() => task.succeed(42), 1);
 *   console.log(await task); // 42
 * });
 * ```
 */
export class ExternalTask<T = unknown> extends Task<T> {
  readonly #requestCancel: ((error: CancelledError) => void) | undefined;
  readonly #isOutside: boolean;
  #isHeld = false;

  constructor(options: ExternalTaskOptions = {}) {
    const loop = options.loop ?? currentLoop();
    const refusal = loop._refusal(options.description ?? "an ExternalTask");
    if (refusal !== null) throw refusal;
    super(
      options.description === undefined ? EXTERNAL : { name: options.description },
      loop,
      options.name,
      true,
    );
    this.#requestCancel = options.requestCancel;
    this.#isOutside = options.isOutside ?? true;
    if (this.#isOutside) this._loop._beginOutside();
  }

  /** Ends the task with a result. Returns false if the task is done already. */
  succeed(value: T): boolean {
    if (this._state !== PENDING) return false;
    this.#end(FULFILLED, value);
    return true;
  }

  /** Ends the task with an error; with a CancelledError, as cancelled. Returns false if the task is done already. */
  fail(error: unknown): boolean {
    if (this._state !== PENDING) return false;
    if (error instanceof CancelledError) {
      this._message = error.message === "" ? undefined : error.message;
      this.#end(CANCELLED, error);
    } else {
      this.#end(UNRETRIEVED, error);
    }
    return true;
  }

  #end(state: FutureState, value: unknown): void {
    this._phase = ENDED;
    this._loop._tasks.delete(this);
    this._settle(state, value);
    if (this.#isOutside) this._loop._endOutside();
    if (this.#isHeld) {
      this.#isHeld = false;
      this._loop._release();
    }
  }

  /** Counts a cancel request, aborts `signal`, and calls `requestCancel`. The place of the work ends the task. */
  override cancel(message?: string): boolean {
    if (this._state !== PENDING) {
      this._retrieved();
      return false;
    }
    this._cancels++;
    const error = new CancelledError(message);
    this._abort(error);
    this.#requestCancel?.(error);
    return true;
  }

  /** @internal */
  override _addWaker(waker: Waker): void {
    if (this.#isOutside && !this.#isHeld && this._state === PENDING) {
      this.#isHeld = true;
      this._loop._hold();
    }
    super._addWaker(waker);
  }

  /** @internal */
  override _removeWakers(matches: (waker: Waker) => boolean): number {
    const removed = super._removeWakers(matches);
    if (this.#isHeld && this._wakers === null) {
      this.#isHeld = false;
      this._loop._release();
    }
    return removed;
  }

  override getStack(): string[] {
    return [];
  }

  /** @internal */
  override _where(): string {
    return (this._coro as { name: string }).name;
  }
}

const EXTERNAL = { name: "external" };
