/** The longest time that Node's timers take, in milliseconds (24.8 days). They turn a longer one into 1 ms. */
export const LONGEST_DELAY: number = 2 ** 31 - 1;

/** A timer that was started by `startTimer`. */
export class LongTimer {
  readonly #callback: () => void;
  /** In milliseconds of `performance.now()`; only for times that Node cannot wait for at once. */
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

  /** Lets the process end although the timer has not fired. */
  unref(): this {
    this.#isReferenced = false;
    this.#timer?.unref();
    return this;
  }

  /** Calls the timer off. */
  cancel(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/**
 * Calls `callback` once after `milliseconds`, however many these are: Node's `setTimeout` fires after 1 ms
 * where the time is 2^31 ms or more. A timer of `Infinity` never fires, and does not keep the process alive.
 *
 * Its time is the real one; what shall follow a virtual clock uses `loop.callLater`.
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
