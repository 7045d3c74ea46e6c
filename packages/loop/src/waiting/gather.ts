import { CancelledError } from "../errors.ts";
import type { Loop } from "../kernel/loop.ts";
import { ensureFuture } from "../task/current.ts";
import { currentStrand } from "../task/current-strand.ts";
import { Future } from "../task/future.ts";
import { CANCELLED, FULFILLED, PENDING, UNRETRIEVED } from "../task/states.ts";
import type { FutureCore } from "../task/future-core.ts";
import type { Waker } from "../task/strand.ts";
import type { Startable } from "../task/open.ts";
import { Task } from "../task/task.ts";
import { cancellationOf } from "../task/signal.ts";
import type { SignalOption } from "../task/signal.ts";
import { isRepeatable } from "./sleep.ts";

const NO_OPTIONS = {};

/** The options of `gather`. */
export interface GatherOptions extends SignalOption {
  /** Puts errors among the results instead of failing with the first error. */
  returnExceptions?: boolean | undefined;
}

/** The results of a list of work. */
export type Gathered<W extends readonly unknown[]> = {
  -readonly [K in keyof W]: W[K] extends Startable<infer T> ? T : never;
};

/** The results of a list of work with `returnExceptions`. */
export type GatheredOrErrors<W extends readonly unknown[]> = {
  -readonly [K in keyof W]: W[K] extends Startable<infer T> ? T | Error : never;
};

/**
 * The future of a gather. Cancelling it cancels the children and never settles the gather itself; the last
 * child that ends settles it.
 */
class GatheringFuture extends Future<unknown[]> implements Waker {
  readonly #children: Future<unknown>[];
  readonly #returnExceptions: boolean;
  #left: number;
  #isCancelRequested = false;

  constructor(children: Future<unknown>[], distinct: number, returnExceptions: boolean, loop: Loop) {
    super(undefined, loop);
    this.#children = children;
    this.#left = distinct;
    this.#returnExceptions = returnExceptions;
  }

  override cancel(message?: string): boolean {
    if (this._state !== PENDING) return false;
    let taken = false;
    for (const child of this.#children) if (child.cancel(message)) taken = true;
    if (taken) this.#isCancelRequested = true;
    return taken;
  }

  /** @internal */
  _towards(): FutureCore<unknown> {
    return this;
  }

  /** Called when a child is done. The callback runs in the next iteration, as every done callback does. */
  _wake(child: FutureCore<unknown>): void {
    this._loop._push(new ChildDone(this, child as Future<unknown>));
  }

  _childDone(child: Future<unknown>): void {
    this.#left--;
    if (this._state !== PENDING) {
      child._retrieved();
      return;
    }
    if (!this.#returnExceptions) {
      if (child._state === CANCELLED) {
        this._settle(UNRETRIEVED, child._cancelledError());
        return;
      }
      if (child._state !== FULFILLED) {
        this._settle(UNRETRIEVED, child._error());
        return;
      }
    }
    if (this.#left > 0) return;
    const results: unknown[] = [];
    for (const each of this.#children) {
      if (each._state === CANCELLED) results.push(new CancelledError((each._message as string) ?? ""));
      else results.push(each._state === FULFILLED ? each._value : each._error());
    }
    // asyncio uses the last child of the list, even if that child was not cancelled itself.
    if (this.#isCancelRequested) this._settle(UNRETRIEVED, this.#children.at(-1)!._cancelledError());
    else this._settle(FULFILLED, results);
  }
}

class ChildDone {
  readonly #outer: GatheringFuture;
  readonly #child: Future<unknown>;
  constructor(outer: GatheringFuture, child: Future<unknown>) {
    this.#outer = outer;
    this.#child = child;
  }
  _run(): void {
    this.#outer._childDone(this.#child);
  }
}

/**
 * Runs work concurrently and returns the results in the order of the arguments. Each argument that is not a
 * future becomes a task at once. If a child fails, the gather fails with the first error, and the other
 * children go on. With `returnExceptions`, errors stand among the results. Cancelling the gather cancels all
 * its children. A cancelled child counts as failed with a CancelledError.
 *
 * ```ts
 * import { gather, run, sleep } from "@taskloom/loop";
 *
 * console.log(await run(() => gather([sleep(2, "a"), async () => "b"]))); // [ 'a', 'b' ]
 * ```
 */
export function gather<const W extends readonly Startable<unknown>[]>(
  work: W,
  options: GatherOptions & { returnExceptions: true },
): Future<GatheredOrErrors<W>>;
export function gather<const W extends readonly Startable<unknown>[]>(
  work: W,
  options?: GatherOptions,
): Future<Gathered<W>>;
export function gather(work: readonly Startable<unknown>[], options: GatherOptions = {}): Future<never> {
  if (work.length === 0) {
    const empty = new Future<unknown[]>();
    empty.setResult([]);
    return empty as unknown as Future<never>;
  }
  let loop: Loop | undefined;
  const scope = currentStrand()?._scope ?? null;
  const children: Future<unknown>[] = [];
  // A future or coroutine that is listed twice is one child; a function is called for each place.
  const seen = work.length > 1 ? new Map<unknown, Future<unknown>>() : null;
  let distinct = 0;
  for (const each of work) {
    let child = seen?.get(each);
    if (child === undefined) {
      child = ensureFuture(each, loop === undefined ? NO_OPTIONS : { loop });
      if (scope !== null && child !== each && child instanceof Task) child._scope = scope;
      loop ??= child._loop;
      if (!isRepeatable(each)) seen?.set(each, child);
      distinct++;
    }
    children.push(child);
  }
  const outer = new GatheringFuture(children, distinct, options.returnExceptions === true, loop!);
  let done: Set<Future<unknown>> | null = null;
  for (const child of distinct === children.length ? children : new Set(children)) {
    if (child._state === PENDING) child._addWaker(outer);
    else (done ??= new Set()).add(child);
  }
  if (done !== null) for (const child of done) outer._childDone(child);
  const signal = options.signal;
  if (signal !== undefined) {
    const abort = (): void => void outer.cancel(cancellationOf(signal).message);
    if (signal.aborted) abort();
    else {
      signal.addEventListener("abort", abort, { once: true });
      outer.addDoneCallback(() => signal.removeEventListener("abort", abort));
    }
  }
  return outer as unknown as Future<never>;
}
