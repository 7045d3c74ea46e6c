import { ArgumentError, BrokenBarrierError } from "../errors.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import { Condition } from "./condition.ts";

const FILLING = "filling";
const DRAINING = "draining";
const RESETTING = "resetting";
const BROKEN = "broken";

/**
 * A point at which a number of tasks meet.
 *
 * The barrier is FILLING until `parties` tasks wait, DRAINING until all of them have left, and then FILLING
 * again. `reset()` makes it RESETTING: all waiting tasks leave with an error. `abort()` makes it BROKEN until
 * the next reset.
 *
 * ```ts
 * import { Barrier, gather, run } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const barrier = new Barrier(2);
 *   console.log(await gather([barrier.wait(), barrier.wait()])); // [ 0, 1 ]
 * });
 * ```
 */
export class Barrier {
  readonly #condition = new Condition();
  readonly #parties: number;
  #state = FILLING;
  #count = 0;

  /**
   * Creates a barrier for `parties` tasks.
   *
   * @throws {@link ArgumentError} if `parties` is less than 1.
   */
  constructor(parties: number) {
    if (!(parties >= 1)) throw new ArgumentError(`parties must be > 0, got ${parties}`);
    this.#parties = parties;
  }

  /** The number of tasks that meet. */
  get parties(): number {
    return this.#parties;
  }

  /** The number of tasks that wait now. */
  get nWaiting(): number {
    return this.#state === FILLING ? this.#count : 0;
  }

  /** Whether the barrier was aborted. */
  get broken(): boolean {
    return this.#state === BROKEN;
  }

  /**
   * Waits until `parties` tasks wait, and returns a different number from 0 to `parties - 1` in each task.
   *
   * @throws {@link BrokenBarrierError} if the barrier is broken, or if it is reset or aborted during the
   *   wait.
   */
  wait(options: SignalOption = {}): Coroutine<number> {
    return routine("wait", () => this.#waiting(), options.signal);
  }

  *#waiting(): Generator<never, number, unknown> {
    const condition = this.#condition;
    yield* condition.acquire();
    try {
      yield* condition.waitFor(() => this.#state !== DRAINING && this.#state !== RESETTING);
      if (this.#state === BROKEN)
        throw new BrokenBarrierError("Barrier aborted: reset() it before it is used again");
      try {
        const index = this.#count++;
        if (index + 1 === this.#parties) {
          this.#state = DRAINING;
          condition.notifyAll();
        } else {
          yield* condition.waitFor(() => this.#state !== FILLING);
          if (this.#state === BROKEN || this.#state === RESETTING) {
            throw new BrokenBarrierError("Abort or reset of barrier while this task waited at it");
          }
        }
        return index;
      } finally {
        this.#count--;
        this.#leave();
      }
    } finally {
      condition.release();
    }
  }

  #leave(): void {
    if (this.#count > 0) return;
    if (this.#state === RESETTING || this.#state === DRAINING) this.#state = FILLING;
    this.#condition.notifyAll();
  }

  /** Returns the barrier to its start; all waiting tasks receive a BrokenBarrierError. */
  reset(): Coroutine<void> {
    return routine("reset", () => this.#change(() => (this.#count > 0 ? RESETTING : FILLING)));
  }

  /**
   * Breaks the barrier: `wait` throws a BrokenBarrierError in all waiting tasks, and in later ones until a
   * reset.
   */
  abort(): Coroutine<void> {
    return routine("abort", () => this.#change(() => BROKEN));
  }

  *#change(state: () => string): Generator<never, void, unknown> {
    yield* this.#condition.acquire();
    try {
      this.#state = state();
      this.#condition.notifyAll();
    } finally {
      this.#condition.release();
    }
  }
}
