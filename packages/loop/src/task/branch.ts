import type { AsyncResource } from "node:async_hooks";
import { CancelledError } from "../errors.ts";
import { captureContextFor } from "./context.ts";
import type { Loop } from "../kernel/loop.ts";
import { loopOf, addLeaf, awaitFuture, removeLeaf } from "./native-await.ts";
import { leavesOf } from "./leaves.ts";
import { dropRequest, keepRequest } from "./requests.ts";
import { ENDED, NATIVE, NONE, UNSTARTED } from "./states.ts";
import type { PendingRequest, Phase } from "./states.ts";
import { deliver, step } from "./step.ts";
import type {
  AnyFuture,
  DeadlineScope,
  Frame,
  Leaf,
  Leaves,
  Steppable,
  Strand,
  StrandTask,
} from "./strand.ts";

type Settle = (value: unknown) => void;

/** A routine that has not started, as `Operation` is. */
type Routine = PromiseLike<unknown> & { [Symbol.iterator](): Steppable };

/** Runs a routine for a native `await`, inline in the task of the awaiting function; outside a task, in a new task. */
export function awaitInline(routine: Routine, strand: Strand | null, resolve: Settle, reject: Settle): void {
  if (strand === null) awaitFuture(loopOf(null).createTask(routine), null, resolve, reject);
  else step(new Branch(strand, routine, resolve, reject));
}

/**
 * A routine that an `async` function awaits, driven as a strand of the same task. The branch is a leaf of the
 * strand whose function awaits it, so a cancellation of that strand reaches the branch. The branch counts its own
 * cancel requests: a timeout in one branch of a `Promise.all` cancels that branch and no other.
 */
class Branch implements Strand, Leaf {
  readonly _loop: Loop;
  readonly _task: StrandTask;
  readonly _parent: Strand;
  _phase: Phase = UNSTARTED;
  _gen: Steppable | null = null;
  _frame: Frame | null = null;
  _waiter: AnyFuture | null = null;
  _leaves: Leaves = null;
  _bodies = 0;
  readonly _context: AsyncResource | null;
  _thrown: unknown = undefined;
  _scope: DeadlineScope | null;
  _cancels = 0;
  _pending: PendingRequest = NONE;
  #message: string | undefined = undefined;
  #controller: AbortController | null = null;
  /** Stops listening to the parent's signal. */
  #unfollow: (() => void) | null = null;
  readonly #routine: Routine;
  readonly #resolve: Settle;
  readonly #reject: Settle;

  constructor(parent: Strand, routine: Routine, resolve: Settle, reject: Settle) {
    this._loop = parent._loop;
    this._task = parent._task;
    this._parent = parent;
    this._scope = parent._scope;
    this.#routine = routine;
    this.#resolve = resolve;
    this.#reject = reject;
    this._context = captureContextFor(this);
    addLeaf(parent, this);
  }

  get _waitsFor(): unknown {
    return this._waiter;
  }

  get _branch(): this {
    return this;
  }

  _run(): void {
    step(this);
  }

  _wake(): void {
    this._loop._push(this);
  }

  _towards(): Strand {
    return this;
  }

  _open(): Steppable {
    return this.#routine[Symbol.iterator]();
  }

  _finish(value: unknown): void {
    this.#end();
    this.#resolve(value);
  }

  _fail(error: unknown): void {
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    this._phase = ENDED;
    dropRequest(this); // It is not counted any more.
    this.#unfollow?.();
    this._gen = this._frame = null;
    this._loop._settledNative = true;
    this._task._wokenIn = this._loop._turns;
    // A helper that was started in the branch and outlives it continues in the parent.
    for (const leaf of leavesOf(this)) addLeaf(this._parent, leaf);
    removeLeaf(this._parent, this);
  }

  _takeCancel(error: unknown, isCall: boolean = this._phase === UNSTARTED): CancelledError | null {
    if (this._pending === NONE || (isCall && this._pending !== NATIVE)) {
      return this._parent._takeCancel(error, isCall);
    }
    dropRequest(this);
    return error instanceof CancelledError ? null : new CancelledError(this.#message);
  }

  _passCancel(waiter: AnyFuture): void {
    if (this._pending === NONE) this._parent._passCancel(waiter);
    else if (waiter.cancel(this.#message)) dropRequest(this);
  }

  _deliver(message: string | undefined): boolean {
    return deliver(this, message);
  }

  cancel(message?: string): boolean {
    if (this._phase === ENDED) return false;
    this._cancels++;
    this.#controller?.abort(new CancelledError(message));
    if (deliver(this, message)) return true;
    keepRequest(this);
    this.#message = message;
    return true;
  }

  _requests(): number {
    return this._cancels + this._parent._requests();
  }

  _withdraw(): number {
    if (this._cancels === 0) return this._parent._withdraw();
    this._cancels--;
    if (this._cancels === 0) {
      dropRequest(this);
      this.#unlink();
    }
    return this._requests();
  }

  _recancel(): void {
    if (this._cancels === 0) this._parent._recancel();
    else {
      this._withdraw();
      this.cancel();
    }
  }

  /**
   * The signal of this branch alone. It follows the parent's signal by a listener that is removed with the branch.
   * `AbortSignal.any` would keep a signal with listeners for as long as the parent may be aborted.
   */
  _signal(): AbortSignal {
    const parent = this._parent._signal();
    const signal = this.#controller?.signal;
    if (signal !== undefined && (!signal.aborted || this._cancels > 0 || parent.aborted)) return signal;
    // The signal does not exist yet, or a request to the parent that was withdrawn has aborted it.
    this.#unlink();
    const controller = (this.#controller = new AbortController());
    if (parent.aborted) controller.abort(parent.reason);
    else if (this._phase !== ENDED) {
      const abort = (): void => controller.abort(parent.reason);
      parent.addEventListener("abort", abort, { once: true });
      this.#unfollow = () => parent.removeEventListener("abort", abort);
    }
    return controller.signal;
  }

  #unlink(): void {
    this.#unfollow?.();
    this.#unfollow = null;
    this.#controller = null;
  }
}
