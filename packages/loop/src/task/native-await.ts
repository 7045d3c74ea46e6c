import type { Loop } from "../kernel/loop.ts";
import { turn } from "../kernel/turn.ts";
import type { Runnable } from "../kernel/runnable.ts";
import { currentLoop } from "./running.ts";
import { CancelledError } from "../errors.ts";
import { describe } from "../describe.ts";
import { awaitingStrand } from "./current-strand.ts";
import { addTo, removeFrom } from "./leaves.ts";
import { takeAtCall } from "./requests.ts";
import { ENDED, FULFILLED, PENDING } from "./states.ts";
import type { AnyFuture, Leaf, Strand, Waker } from "./strand.ts";

type Settle = (value: unknown) => void;

// oxlint-disable-next-line typescript/unbound-method -- called with a function as its `this`
const sourceOf = Function.prototype.toString;
const NATIVE = "function () { [native code] }";

/** An object for a native `await`: a future, or a routine that is driven inline. */
export interface NativeAwaitable<T> {
  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B>;
  /** @internal Reports the outcome to the native promise behind `resolve` and `reject`. */
  _awaitFrom(strand: Strand | null, resolve: Settle, reject: Settle): void;
}

/**
 * The `then` of each awaitable. `await` passes V8's own resolving functions, which are recognised by their source
 * text (30 ns). In that case no promise is made, and the outcome goes straight to the awaiting function. A call by a
 * program returns a real promise, with Node's own treatment of unhandled rejections. The promise is made only here,
 * so an awaitable that is never awaited causes no unhandled rejection.
 */
export function awaitNatively<T, A, B>(
  awaitable: NativeAwaitable<T>,
  onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
  onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
): Promise<A | B> {
  const strand = awaitingStrand();
  if (isAwait(onFulfilled, onRejected)) {
    awaitable._awaitFrom(strand, onFulfilled as Settle, onRejected as Settle);
    return undefined as unknown as Promise<A | B>;
  }
  return new Promise<T>((resolve, reject) =>
    awaitable._awaitFrom(strand, resolve as Settle, reject as Settle),
  ).then(onFulfilled, onRejected);
}

/** Returns whether `await` passed these functions to `then`: V8's own resolving functions, which do not throw. */
export function isAwait(onFulfilled: unknown, onRejected: unknown): boolean {
  return (
    typeof onFulfilled === "function" &&
    typeof onRejected === "function" &&
    sourceOf.call(onFulfilled) === NATIVE
  );
}

/** Returns the loop of an await, which may be outside any task. */
export function loopOf(strand: Strand | null): Loop {
  return strand === null ? currentLoop() : strand._loop;
}

export function awaitFuture(future: AnyFuture, strand: Strand | null, resolve: Settle, reject: Settle): void {
  if (strand !== null && future._loop !== strand._loop) {
    const refusal = strand._loop._refusal(`${describe(future)} of another loop`);
    if (refusal !== null) {
      reject(refusal);
      return;
    }
  }
  if (future._state !== PENDING) {
    const cancel = takeAtCall(strand);
    if (cancel !== null) reject(cancel);
    else if (future._state === FULFILLED) resolve(future._value);
    else reject(future._error());
    return;
  }
  const leaf = new NativeAwait(future, strand, resolve, reject);
  future._addWaker(leaf);
  if (strand !== null) {
    addLeaf(strand, leaf);
    strand._passCancel(future);
  }
}

/** Pauses for one iteration: `await sleep(0)`. */
export function awaitPause(strand: Strand | null, resolve: Settle, reject: Settle): void {
  const leaf = new NativeAwait(null, strand, resolve, reject);
  if (strand !== null) addLeaf(strand, leaf);
  loopOf(strand)._push(leaf);
}

/** One pending `await` of an `async` function. It is in the ready queue once the awaited future is done. */
export class NativeAwait implements Runnable, Leaf, Waker {
  readonly #future: AnyFuture | null;
  readonly #strand: Strand | null;
  readonly #resolve: Settle;
  readonly #reject: Settle;

  constructor(future: AnyFuture | null, strand: Strand | null, resolve: Settle, reject: Settle) {
    this.#future = future;
    this.#strand = strand;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get _waitsFor(): unknown {
    return this.#future;
  }

  get _branch(): null {
    return null;
  }

  _towards(): Strand | null {
    return this.#strand;
  }

  _deliver(message: string | undefined): boolean {
    return this.#future !== null && this.#future.cancel(message);
  }

  _wake(future: AnyFuture): void {
    future._loop._push(this);
  }

  _run(): void {
    const future = this.#future;
    const strand = this.#strand;
    let failed = false;
    let value: unknown;
    if (future !== null) {
      if (future._state === FULFILLED) value = future._value;
      else {
        failed = true;
        value = future._error();
      }
    }
    const loop = strand === null ? (future === null ? turn.loop! : future._loop) : strand._loop;
    loop._settledNative = true;
    if (strand !== null) {
      removeLeaf(strand, this);
      strand._task._wokenIn = loop._turns;
      const cancel = strand._takeCancel(value);
      if (cancel !== null) {
        failed = true;
        value = cancel;
      }
    }
    const monitor = loop._monitor;
    if (monitor !== null) {
      monitor.settled(strand);
      if (strand !== null && failed && value instanceof CancelledError) monitor.cancelDelivered(strand);
    }
    if (failed) this.#reject(value);
    else this.#resolve(value);
  }
}

/**
 * Adds a leaf. A strand with leaves waits for an object of Taskloom, and virtual time may pass. A strand with a native
 * body and no leaf waits for work outside the loop, and virtual time does not advance.
 */
export function addLeaf(of: Strand, leaf: Leaf): void {
  const strand = alive(of);
  const first = addTo(strand, leaf);
  if (first && strand._bodies > 0) strand._loop._endOutside();
  strand._loop._monitor?.stepped(strand);
}

export function removeLeaf(of: Strand, leaf: Leaf): void {
  const strand = alive(of);
  const last = removeFrom(strand, leaf);
  if (last && strand._bodies > 0) strand._loop._beginOutside();
}

/** Returns the strand, or for a branch that has ended, the innermost strand around it that has not. */
function alive(strand: Strand): Strand {
  let found = strand;
  while (found._phase === ENDED && found._parent !== null) found = found._parent;
  return found;
}
