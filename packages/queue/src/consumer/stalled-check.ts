import { setTimeout as delay } from "node:timers/promises";
import { pauseBeforeRepeat } from "../contract/transient.ts";

/** Recovers jobs whose lock has lapsed, at once and then regularly, until it is stopped. */
export class StalledCheck {
  readonly #abort = new AbortController();

  /**
   * @param interval the time between two checks, in milliseconds.
   * @param recover recovers the jobs. BullMQ's backends check at most once per interval for all workers of a lane.
   * @param onError notified if a check fails. It is repeated.
   */
  constructor(interval: number, recover: () => Promise<unknown>, onError: (error: unknown) => void) {
    void this.#run(interval, recover, onError);
  }

  async #run(
    interval: number,
    recover: () => Promise<unknown>,
    onError: (error: unknown) => void,
  ): Promise<void> {
    const { signal } = this.#abort;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await recover();
        failures = 0;
      } catch (error) {
        failures++;
        if (!signal.aborted) onError(error);
      }
      const pause = failures === 0 ? interval : Math.max(interval, pauseBeforeRepeat(failures));
      await delay(pause, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  stop(): void {
    this.#abort.abort();
  }
}
