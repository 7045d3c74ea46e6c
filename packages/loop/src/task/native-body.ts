import type { EventLoop } from "../kernel/event-loop.ts";
import { CancelledError } from "../errors.ts";
import { CANCELLED, FAILED, FULFILLED, FutureCore, PENDING } from "./future-core.ts";
import type { Strand } from "./strand.ts";

/**
 * The promise of an `async` function that the kernel called for a strand. It cannot be cancelled itself: a
 * cancellation goes to what the function awaits, and a scope never ends before its body has.
 */
export class NativeBody extends FutureCore<unknown> {
  readonly #strand: Strand;

  constructor(strand: Strand, promise: PromiseLike<unknown>) {
    super(strand._loop);
    this.#strand = strand;
    if (strand._bodies++ === 0 && !hasLeaves(strand)) this._loop._beginOutside();
    promise.then(
      (value) => this.#end(FULFILLED, value),
      (error: unknown) => this.#end(FAILED, error),
    );
  }

  override cancel(): boolean {
    return false;
  }

  #end(state: number, value: unknown): void {
    const strand = this.#strand;
    if (--strand._bodies === 0 && !hasLeaves(strand)) this._loop._endOutside();
    // The root of an async task: nothing can come between its end and the task's, so no iteration does.
    if (this._wakers === strand && strand._frame === null && strand._gen === this) {
      this._wakers = null;
      this._settle(state, value);
      strand._run();
    } else {
      this._settle(state, value);
    }
  }
}

function hasLeaves(strand: Strand): boolean {
  return strand._leaves !== null && strand._leaves.length > 0;
}

/** Somebody else's promise: waiting for it can be cancelled at once; the promise goes its way. */
export class ForeignPromise extends FutureCore<unknown> {
  constructor(loop: EventLoop, promise: PromiseLike<unknown>) {
    super(loop);
    loop._beginOutside();
    promise.then(
      (value) => this.#end(FULFILLED, value),
      (error: unknown) => {
        if (error instanceof CancelledError) this.#end(CANCELLED, error);
        else this.#end(FAILED, error);
      },
    );
  }

  override cancel(message?: string): boolean {
    if (!super.cancel(message)) return false;
    this._loop._endOutside();
    return true;
  }

  #end(state: number, value: unknown): void {
    if (this._state !== PENDING) return;
    this._settle(state, value);
    this._loop._endOutside();
  }
}
