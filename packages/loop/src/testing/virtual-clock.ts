import type { Clock } from "../kernel/clock.ts";

/**
 * A clock for tests. Its time passes only when no task can run, or when the test advances it.
 *
 * ```ts
 * import { EventLoop, sleep } from "@taskloom/loop";
 * import { virtualClock } from "@taskloom/loop/testing";
 *
 * const clock = virtualClock({ manual: true });
 * const loop = new EventLoop({ clock });
 * const done = loop.runUntilComplete(async () => {
 *   await sleep(1000);
 *   return clock.now();
 * });
 * await clock.advance(999);
 * console.log(clock.now()); // 999
 * await clock.advance(1);
 * console.log(await done); // 1000
 * ```
 */
export class VirtualClock implements Clock {
  #now: number;
  #target: number;
  readonly #isManual: boolean;
  readonly #wakes = new Set<() => boolean>();
  #settled: (() => void)[] = [];

  /** Made by `virtualClock()`. */
  constructor(start: number, isManual: boolean) {
    this.#now = start;
    this.#target = start;
    this.#isManual = isManual;
  }

  /** The virtual time, in milliseconds. */
  now(): number {
    return this.#now;
  }

  /** @internal */
  attach(wake: () => boolean): void {
    this.#wakes.add(wake);
  }

  /** @internal */
  advanceTo(deadline: number | undefined): "moved" | "stay" {
    if (!this.#isManual) {
      if (deadline !== undefined && deadline > this.#now) this.#now = deadline;
      return "moved";
    }
    if (deadline !== undefined && deadline <= this.#target) {
      if (deadline > this.#now) this.#now = deadline;
      return "moved";
    }
    this.#now = this.#target;
    const settled = this.#settled;
    this.#settled = [];
    for (const resolve of settled) resolve();
    return "stay";
  }

  /**
   * Lets `ms` milliseconds pass in manual mode. Each timer runs at its own time on the way. Resolves when
   * nothing more can happen at the new time.
   *
   * @throws TypeError without `manual: true`.
   */
  advance(ms: number): Promise<void> {
    if (!this.#isManual)
      throw new TypeError("Expected a manual clock for advance(): use virtualClock({ manual: true })");
    this.#target += ms;
    return new Promise((resolve) => {
      this.#settled.push(resolve);
      let isRunning = false;
      for (const wake of this.#wakes) if (wake()) isRunning = true;
      if (!isRunning) this.advanceTo(undefined);
    });
  }
}

/** The options of a virtual clock. */
export interface VirtualClockOptions {
  /** The time at the start, in milliseconds. */
  start?: number | undefined;
  /** Whether time passes only by `advance(ms)`. */
  manual?: boolean | undefined;
}

/**
 * Returns a clock whose time does not pass while anything is ready, and jumps to the next deadline otherwise.
 * An hour of sleep takes no real time, and every run takes the same course.
 *
 * ```ts
 * import { run, sleep, getRunningLoop } from "@taskloom/loop";
 * import { virtualClock } from "@taskloom/loop/testing";
 *
 * await run(
 *   async () => {
 *     await sleep(3_600_000);
 *     console.log(getRunningLoop().time()); // 3600000
 *   },
 *   { clock: virtualClock() },
 * );
 * ```
 */
export function virtualClock(options: VirtualClockOptions = {}): VirtualClock {
  return new VirtualClock(options.start ?? 0, options.manual === true);
}
