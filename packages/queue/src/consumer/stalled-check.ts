import { setTimeout as delay } from "node:timers/promises";
import { pauseBeforeRepeat } from "../contract/transient.ts";

/** The options of {@link StalledCheck}. Intervals are milliseconds. */
export interface StalledCheckOptions {
  /** The time between two checks. */
  readonly interval: number;
  /** Recovers the jobs. BullMQ's backends check at most once per interval for all workers of a lane. */
  readonly recover: () => Promise<unknown>;
  /** Notified if a check fails. It is repeated. */
  readonly onError: (error: unknown) => void;
  /** The time until the next check if no job of the lane runs; undefined if it is the same. */
  readonly resting: { readonly interval: number; readonly isIdle: () => Promise<boolean> } | undefined;
}

/** The number of checks of a busy lane between two questions whether it is idle. */
const CHECKS_PER_QUESTION = 10;

/** Recovers jobs whose lock has lapsed, at once and then regularly, until it is stopped. */
export class StalledCheck {
  readonly #abort = new AbortController();
  readonly #options: StalledCheckOptions;
  #untilQuestion = 0;

  constructor(options: StalledCheckOptions) {
    this.#options = options;
    void this.#run();
  }

  async #run(): Promise<void> {
    const { interval, onError } = this.#options;
    const { signal } = this.#abort;
    let failures = 0;
    while (!signal.aborted) {
      let pause = interval;
      try {
        pause = await this.#check();
        failures = 0;
      } catch (error) {
        failures++;
        if (!signal.aborted) onError(error);
        pause = Math.max(interval, pauseBeforeRepeat(failures));
      }
      await delay(pause, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Checks once, and returns the time until the next check. */
  async #check(): Promise<number> {
    const { interval, recover, resting } = this.#options;
    await recover();
    // The question is one more command, and the answer of a busy lane seldom changes.
    if (resting === undefined || this.#untilQuestion-- > 0) return interval;
    const isIdle = await resting.isIdle();
    this.#untilQuestion = isIdle ? 0 : CHECKS_PER_QUESTION;
    return isIdle ? resting.interval : interval;
  }

  stop(): void {
    this.#abort.abort();
  }
}
