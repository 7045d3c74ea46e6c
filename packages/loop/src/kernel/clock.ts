/** Where a loop's time comes from. `virtualClock()` of `@taskloom/loop/testing` is the other one. */
export interface Clock {
  /** The time in milliseconds, from an arbitrary start; never goes back. */
  now(): number;
  /**
   * A clock that can pass time by itself has this: with nothing ready and nothing outside under way, the
   * loop asks it to go on to its next deadline (`undefined` when there is none).
   * `"moved"`: time passed. `"stay"`: the clock is moved by hand.
   */
  advanceTo?(deadline: number | undefined): "moved" | "stay";
  /** Told when a loop starts to use the clock, so that a clock moved by hand can wake it; false: it does not run. */
  attach?(wake: () => boolean): void;
}

/** The monotonic clock of the process. */
export const systemClock: Clock = { now: () => performance.now() };
