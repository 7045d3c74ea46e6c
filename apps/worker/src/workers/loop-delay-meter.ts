import { createHistogram } from "node:perf_hooks";
import type { RecordableHistogram } from "node:perf_hooks";
import type { WorkerStats } from "@taskloom/queue";

/** The time for which an event loop was kept from running, in milliseconds. */
export interface LoopDelay {
  /** The 99th percentile of the readings. */
  readonly p99: number;
  readonly longest: number;
}

/** Returns whether every thread runs a job, and the threads have run enough before that their start does not count. */
export function threadsAreBusy({ running, finished, threads }: WorkerStats): boolean {
  return running.thread >= threads && finished.thread >= threads * 4;
}

const INTERVAL_MS = 2;

/**
 * Measures how long the event loop is kept from running while a condition holds.
 *
 * Node's `monitorEventLoopDelay` is no alternative: if it is disabled and enabled again, it counts the time between as
 * one long delay.
 */
export class LoopDelayMeter {
  readonly #histogram: RecordableHistogram = createHistogram();
  readonly #timer: NodeJS.Timeout;

  constructor(condition: () => boolean = () => true) {
    let before = performance.now();
    let held = condition();
    this.#timer = setInterval(() => {
      const now = performance.now();
      const holds = condition();
      // The histogram takes whole microseconds. A delay in which the condition began or ended does not count.
      if (held && holds)
        this.#histogram.record(Math.max(1, Math.round((now - before - INTERVAL_MS) * 1_000)));
      before = now;
      held = holds;
    }, INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The measured delay; undefined while there is no reading. */
  get delay(): LoopDelay | undefined {
    if (this.#histogram.count === 0) return undefined;
    return { p99: this.#histogram.percentile(99) / 1_000, longest: this.#histogram.max / 1_000 };
  }
}
