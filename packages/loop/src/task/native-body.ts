import type { Loop } from "../kernel/loop.ts";
import { FutureCore } from "./future-core.ts";
import { cancellationIn } from "./requests.ts";
import { CANCELLED, FAILED, FULFILLED, PENDING, RETURNING } from "./states.ts";
import type { FutureState } from "./states.ts";
import type { Strand } from "./strand.ts";

/**
 * The promise of an `async` function that the kernel called for a strand. It cannot be cancelled itself: a
 * cancellation goes to the function's pending awaits, and a scope never ends before its body. Its end is a
 * function's return and no suspension. The strand is RETURNING then, and no cancellation replaces the result.
 */
export class NativeBody extends FutureCore<unknown> {
  readonly #strand: Strand;

  constructor(strand: Strand, promise: PromiseLike<unknown>) {
    super(strand._loop);
    this.#strand = strand;
    if (strand._bodies++ === 0 && strand._leaves === null) this._loop._beginOutside();
    promise.then(
      (value) => this.#end(FULFILLED, value),
      (error: unknown) => this.#end(FAILED, cancellationIn(error) ?? error),
    );
  }

  override cancel(): boolean {
    return false;
  }

  #end(state: FutureState, value: unknown): void {
    const strand = this.#strand;
    if (--strand._bodies === 0 && strand._leaves === null) this._loop._endOutside();
    // There is no waker if a thenable settles inside its `then`. The strand continues at once in that case.
    const isAwaited = this._wakers !== null;
    if (isAwaited) strand._phase = RETURNING;
    // The root of an async task ends in the same iteration as the task.
    if (isAwaited && strand._frame === null && strand._gen === this) {
      this._wakers = null;
      this._settle(state, value);
      strand._run();
    } else {
      this._settle(state, value);
    }
  }
}

/** A promise of foreign code. The wait for it can be cancelled at once; the promise itself continues. */
export class ForeignPromise extends FutureCore<unknown> {
  constructor(loop: Loop, promise: PromiseLike<unknown>) {
    const refusal = loop._refusal("a native promise");
    if (refusal !== null) throw refusal;
    super(loop);
    loop._beginOutside();
    promise.then(
      (value) => this.#end(FULFILLED, value),
      (error: unknown) => {
        const cancellation = cancellationIn(error);
        if (cancellation !== undefined) this.#end(CANCELLED, cancellation);
        else this.#end(FAILED, error);
      },
    );
  }

  override cancel(message?: string): boolean {
    if (!super.cancel(message)) return false;
    this._loop._endOutside();
    return true;
  }

  #end(state: FutureState, value: unknown): void {
    if (this._state !== PENDING) return;
    this._settle(state, value);
    this._loop._endOutside();
  }
}
