import { describesItself } from "../describe.ts";
import { ArgumentError, UsageError } from "../errors.ts";
import { FULFILLED } from "../task/states.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { requireStrand } from "../task/current.ts";
import type { Future } from "../task/future.ts";
import type { Awaitable } from "../task/open.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import { held, holding } from "./held.ts";
import type { Held } from "./held.ts";
import { WaitList } from "./wait-list.ts";

/**
 * A counter of permits. A waiting task is served before a task that comes later.
 *
 * ```ts
 * import { gather, run, Semaphore, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const two = new Semaphore(2);
 *   let inside = 0;
 *   let most = 0;
 *   const visit = () => two.with(async () => {
 *     most = Math.max(most, ++inside);
 *     await sleep(1);
 *     inside--;
 *   });
 *   await gather([visit(), visit(), visit(), visit()]);
 *   console.log(most); // 2
 * });
 * ```
 */
export class Semaphore {
  #value: number;
  readonly #waiters = new WaitList<Future<unknown>>();

  /**
   * Creates a semaphore with `value` permits.
   *
   * @throws {@link ArgumentError} if `value` is negative.
   */
  constructor(value = 1) {
    if (!(value >= 0)) throw new ArgumentError(`Semaphore initial value must be >= 0, got ${value}`);
    this.#value = value;
  }

  /** @internal */
  get _value(): number {
    return this.#value;
  }

  /** Whether `acquire` would have to wait. */
  locked(): boolean {
    if (this.#value === 0) return true;
    for (const waiter of this.#waiters) if (!waiter.cancelled()) return true;
    return false;
  }

  /** Takes a permit, and waits first if none is free. Disposing the result releases the permit. */
  acquire(options: SignalOption = {}): Coroutine<Held> {
    return routine("acquire", () => this.#acquiring(), options.signal);
  }

  *#acquiring(): Generator<never, Held, unknown> {
    if (!this.locked()) {
      this.#value--;
      return held(() => this.release());
    }
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
      // The task received a permit and will not use it.
      if (waiter._state === FULFILLED) this.#value++;
      throw error;
    } finally {
      // Tasks that came meanwhile had to wait in line although permits were free.
      while (this.#value > 0 && this.#wakeNext());
    }
    return held(() => this.release());
  }

  /** Returns a permit, and wakes the first waiting task. */
  release(): void {
    this.#value++;
    this.#wakeNext();
  }

  #wakeNext(): boolean {
    for (const waiter of this.#waiters) {
      if (!waiter.done()) {
        this.#value--;
        waiter.setResult(true);
        return true;
      }
    }
    return false;
  }

  /** Runs `body` while holding a permit. */
  with<T>(body: () => Awaitable<T>): Coroutine<T> {
    return holding("with", this, body);
  }

  /** @internal */
  _describeWait(): string {
    return `${this.constructor.name}.acquire() ${this.#describeState()}`;
  }

  /** @internal */
  _describe(): string {
    return `<${this.constructor.name} ${this.#describeState()}>`;
  }

  #describeState(): string {
    return `${this.#value} free, ${this.#waiters.size} waiting`;
  }
}

describesItself(Semaphore);

/**
 * A semaphore that refuses more releases than acquires.
 *
 * ```ts
 * import { BoundedSemaphore, run } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const one = new BoundedSemaphore(1);
 *   const held = await one.acquire();
 *   held.release();
 *   try {
 *     one.release();
 *   } catch (error) {
 *     console.log((error as { code: string }).code); // SEMAPHORE_OVER_RELEASED
 *   }
 * });
 * ```
 */
export class BoundedSemaphore extends Semaphore {
  readonly #bound: number;

  constructor(value = 1) {
    super(value);
    this.#bound = value;
  }

  /**
   * Returns a permit.
   *
   * @throws {@link UsageError} if the semaphore would then have more permits than at its start.
   */
  override release(): void {
    if (this._value >= this.#bound) {
      throw new UsageError(
        "SEMAPHORE_OVER_RELEASED",
        "BoundedSemaphore released too many times: once per acquire()",
      );
    }
    super.release();
  }
}
