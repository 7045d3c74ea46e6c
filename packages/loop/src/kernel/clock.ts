/** A source of time for a loop: the system's clock, or `virtualClock()` of `@taskloom/loop/testing`. */
export interface Clock {
  /** Returns the time in milliseconds from an arbitrary start. The time never goes back. */
  now(): number;
  /**
   * Moves the time to the loop's next deadline (`undefined` if there is none). Only a virtual clock has this method.
   * The loop calls it when its ready queue is empty and no work outside the loop is pending. Returns `"moved"` if
   * time has passed, and `"stay"` if the test moves the clock.
   */
  advanceTo?(deadline: number | undefined): "moved" | "stay";
  /** Receives a function that wakes a loop of the clock; the function returns false if the loop does not run. */
  attach?(wake: () => boolean): void;
}

/** The monotonic clock of the process. */
export const systemClock: Clock = { now: () => performance.now() };
