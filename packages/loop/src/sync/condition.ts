import { describe, describesItself } from "../describe.ts";
import { CancelledError, UsageError } from "../errors.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { requireStrand } from "../task/current.ts";
import type { Future } from "../task/future.ts";
import type { Awaitable } from "../task/open.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import { holding } from "./held.ts";
import type { Held } from "./held.ts";
import { Lock } from "./lock.ts";
import { WaitList } from "./wait-list.ts";

/**
 * A condition that tasks wait for while they hold a lock.
 *
 * ```ts
 * import { Condition, createTask, run, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const condition = new Condition();
 *   let stock = 0;
 *   const buyer = createTask(() => condition.with(async () => {
 *     await condition.waitFor(() => stock > 0);
 *     stock--;
 *   }));
 *   await sleep(0);
 *   await condition.with(async () => {
 *     stock++;
 *     condition.notify();
 *   });
 *   await buyer;
 *   console.log(stock); // 0
 * });
 * ```
 */
export class Condition {
  readonly #lock: Lock;
  readonly #waiters = new WaitList<Future<unknown>>();

  constructor(lock: Lock = new Lock()) {
    this.#lock = lock;
  }

  /** Whether the lock is taken. */
  locked(): boolean {
    return this.#lock.locked();
  }

  /** Takes the lock. */
  acquire(options: SignalOption = {}): Coroutine<Held> {
    return this.#lock.acquire(options);
  }

  /** Frees the lock. */
  release(): void {
    this.#lock.release();
  }

  /** Runs `body` while holding the lock. */
  with<T>(body: () => Awaitable<T>): Coroutine<T> {
    return holding("with", this, body);
  }

  /**
   * Frees the lock, waits for a notification, and takes the lock again, even if the task is cancelled
   * meanwhile. The task can wake without a reason, so the caller checks its condition again.
   *
   * @throws {@link UsageError} if the lock is not taken.
   */
  wait(options: SignalOption = {}): Coroutine<true> {
    return routine("wait", () => this.#waiting(), options.signal);
  }

  *#waiting(): Generator<never, true, unknown> {
    if (!this.locked())
      throw new UsageError("LOCK_NOT_HELD", "cannot wait on un-acquired lock: acquire() it first");
    const waiter = requireStrand("wait")._loop.createFuture();
    waiter._value = this;
    this.release();
    try {
      try {
        this.#waiters.add(waiter);
        try {
          yield* waiter;
        } finally {
          this.#waiters.delete(waiter);
        }
      } finally {
        yield* this.#reacquire();
      }
      return true;
    } catch (error) {
      // The task may have received a notification before it was cancelled. Another waiter receives the
      // notification instead.
      this.#wake(1);
      throw error;
    }
  }

  /** Takes the lock despite any number of cancellations, and throws the latest of them afterwards. */
  *#reacquire(): Generator<never, void, unknown> {
    let cancellation: CancelledError | null = null;
    for (;;) {
      try {
        yield* this.acquire();
        break;
      } catch (error) {
        if (!(error instanceof CancelledError)) throw error;
        cancellation = error;
      }
    }
    if (cancellation !== null) throw cancellation;
  }

  /** Waits until `predicate()` returns a true value, and returns that value. */
  waitFor<T>(predicate: () => T, options: SignalOption = {}): Coroutine<T> {
    return routine(
      "waitFor",
      // oxlint-disable-next-line unicorn/no-this-assignment
      () => this.#waitingFor(predicate),
      options.signal,
    );
  }

  *#waitingFor<T>(predicate: () => T): Generator<never, T, unknown> {
    let result = predicate();
    while (!result) {
      yield* this.#waiting();
      result = predicate();
    }
    return result;
  }

  /**
   * Wakes `n` waiting tasks.
   *
   * @throws {@link UsageError} if the lock is not taken.
   */
  notify(n = 1): void {
    if (!this.locked())
      throw new UsageError("LOCK_NOT_HELD", "cannot notify on un-acquired lock: acquire() it first");
    this.#wake(n);
  }

  /** Wakes all waiting tasks. */
  notifyAll(): void {
    this.notify(this.#waiters.size);
  }

  #wake(n: number): void {
    let woken = 0;
    for (const waiter of this.#waiters) {
      if (woken >= n) break;
      if (!waiter.done()) {
        woken++;
        waiter.setResult(false);
      }
    }
  }

  /** @internal */
  _describeWait(): string {
    return `Condition.wait() ${this.#describeState()}`;
  }

  /** @internal */
  _describe(): string {
    return `<Condition ${this.#describeState()}>`;
  }

  #describeState(): string {
    return `${this.#waiters.size} waiting, ${describe(this.#lock)}`;
  }
}

describesItself(Condition);
