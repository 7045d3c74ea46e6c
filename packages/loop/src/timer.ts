/** The longest delay of Node's timers in milliseconds (24.8 days). They turn a longer delay into 1 ms. */
export const LONGEST_DELAY: number = 2 ** 31 - 1;

/** A timer of `startTimer`. */
export class LongTimer {
  readonly #callback: () => void;
  /** The deadline in milliseconds of `performance.now()`, for delays that one timer of Node cannot have; else 0. */
  #deadline = 0;
  #timer: NodeJS.Timeout | undefined;
  #isReferenced = true;

  /** Use `startTimer()`. */
  constructor(milliseconds: number, callback: () => void) {
    this.#callback = callback;
    if (milliseconds <= LONGEST_DELAY) {
      this.#timer = setTimeout(callback, milliseconds);
    } else if (milliseconds !== Infinity) {
      this.#deadline = performance.now() + milliseconds;
      this.#wait();
    }
  }

  #wait(): void {
    const left = this.#deadline - performance.now();
    this.#timer =
      left <= LONGEST_DELAY
        ? setTimeout(this.#callback, left)
        : setTimeout(() => this.#wait(), LONGEST_DELAY);
    if (!this.#isReferenced) this.#timer.unref();
  }

  /** Lets the process end before the timer fires. */
  unref(): this {
    this.#isReferenced = false;
    this.#timer?.unref();
    return this;
  }

  /** Cancels the timer. */
  cancel(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/**
 * Calls `callback` once after `milliseconds`, for delays of any length. Node's `setTimeout` fires after 1 ms if
 * the delay is 2^31 ms or more. A timer of `Infinity` never fires, and does not keep the process alive.
 *
 * The timer runs in real time. Code that follows a virtual clock uses `loop.callLater`.
 *
 * ```ts
 * import { startTimer } from "@taskloom/loop/timer";
 *
 * const inSixtyDays = startTimer(60 * 86_400_000, () => console.log("never seen"));
 * inSixtyDays.cancel();
 * ```
 */
export function startTimer(milliseconds: number, callback: () => void): LongTimer {
  return new LongTimer(milliseconds, callback);
}

/**
 * Waits for a clean-up, but no longer than `milliseconds`, so that a part that does not answer keeps no process from
 * ending. Errors of the clean-up are ignored.
 *
 * ```ts
 * import { settleWithin } from "@taskloom/loop/timer";
 *
 * await settleWithin(100, Promise.reject(new Error("no matter")));
 * ```
 */
export async function settleWithin(milliseconds: number, cleanUp: Promise<unknown>): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = startTimer(milliseconds, resolve);
  await Promise.race([cleanUp.catch(() => {}), over]);
  timer.cancel();
}
