import { describesItself } from "../describe.ts";
import { CancelledError, UsageError } from "../errors.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { requireStrand } from "../task/current.ts";
import { currentStrand } from "../task/current-strand.ts";
import type { Future } from "../task/future.ts";
import type { Awaitable } from "../task/open.ts";
import type { StrandTask } from "../task/strand.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import { held, holding } from "./held.ts";
import type { Held } from "./held.ts";
import { WaitList } from "./wait-list.ts";

/**
 * A mutual exclusion lock for tasks. Waiters are served first come, first served. If a waiter is cancelled
 * after it was woken, it wakes the next waiter.
 *
 * ```ts
 * import { Lock, run } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const lock = new Lock();
 *   await lock.with(async () => console.log(lock.locked())); // true
 *   console.log(lock.locked()); // false
 * });
 * ```
 */
export class Lock {
  #locked = false;
  /** The task that holds the lock, for diagnosis; null while the lock is free. */
  #holder: StrandTask | null = null;
  readonly #waiters = new WaitList<Future<unknown>>();

  /** Whether the lock is taken. */
  locked(): boolean {
    return this.#locked;
  }

  /**
   * Takes the lock, and waits first while it is taken. Disposing the result releases the lock: `using held =
   * await lock.acquire()`.
   */
  acquire(options: SignalOption = {}): Coroutine<Held> {
    return routine("acquire", () => this.#acquiring(), options.signal);
  }

  *#acquiring(): Generator<never, Held, unknown> {
    if (this.#locked || this.#someoneWaits()) {
      const waiter = requireStrand("acquire")._loop.createFuture();
      waiter._value = this;
      this.#waiters.add(waiter);
      try {
        try {
          yield* waiter;
        } finally {
          this.#waiters.delete(waiter);
        }
      } catch (error) {
        // The waiter was woken and cancelled in the same iteration: the next waiter is woken instead.
        if (error instanceof CancelledError && !this.#locked) this.#wakeFirst();
        throw error;
      }
    }
    this.#locked = true;
    this.#holder = currentStrand()?._task ?? null;
    return held(() => this.release());
  }

  #someoneWaits(): boolean {
    for (const waiter of this.#waiters) {
      if (!waiter.cancelled()) return true;
    }
    return false;
  }

  /**
   * Frees the lock and wakes the first waiting task.
   *
   * @throws {@link UsageError} if the lock is not taken.
   */
  release(): void {
    if (!this.#locked)
      throw new UsageError("LOCK_NOT_HELD", "Lock is not acquired: acquire() it before release()");
    this.#locked = false;
    this.#holder = null;
    this.#wakeFirst();
  }

  /** Wakes the first waiter only, and only if it is not woken yet. */
  #wakeFirst(): void {
    const first = this.#waiters.first();
    if (first !== undefined && !first.done()) first.setResult(true);
  }

  /** Runs `body` while holding the lock. */
  with<T>(body: () => Awaitable<T>): Coroutine<T> {
    return holding("with", this, body);
  }

  /** @internal */
  _describeWait(): string {
    return `Lock.acquire() ${this.#describeState()}`;
  }

  /** @internal */
  _describe(): string {
    return `<Lock ${this.#describeState()}>`;
  }

  #describeState(): string {
    const holder = this.#holder === null ? "" : ` held by '${this.#holder.getName()}'`;
    return `${this.#locked ? `locked${holder}` : "unlocked"}, ${this.#waiters.size} waiting`;
  }
}

describesItself(Lock);
