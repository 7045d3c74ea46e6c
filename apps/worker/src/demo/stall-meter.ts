import type { WorkerStats } from "@taskloom/queue";
import { createHistogram } from "node:perf_hooks";
import type { RecordableHistogram } from "node:perf_hooks";

/** How long the event loop was kept from running, in milliseconds. */
export interface Stall {
  /** 99 of 100 looks found less. */
  readonly p99: number;
  readonly longest: number;
}

/** Whether every thread runs a job, and has run some before: what is asked for is not how long starting takes. */
export function threadsAreBusy({ running, finished, threads }: WorkerStats): boolean {
  return running.thread >= threads && finished.thread >= threads * 4;
}

const interval = 2;

/**
 * Watches how long the event loop is kept from running, while a condition holds.
 *
 * Node's `monitorEventLoopDelay` cannot be used for that: when it is switched off and on again, it takes the time in
 * between for one long delay.
 */
export class StallMeter {
  readonly #histogram: RecordableHistogram = createHistogram();
  readonly #timer: NodeJS.Timeout;

  constructor(condition: () => boolean = () => true) {
    let before = performance.now();
    let held = condition();
    this.#timer = setInterval(() => {
      const now = performance.now();
      const holds = condition();
      // In whole microseconds; a delay in which the condition began or ended is nobody's.
      if (held && holds) this.#histogram.record(Math.max(1, Math.round((now - before - interval) * 1_000)));
      before = now;
      held = holds;
    }, interval).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** What was measured; undefined when nothing was. */
  get stall(): Stall | undefined {
    if (this.#histogram.count === 0) return undefined;
    return { p99: this.#histogram.percentile(99) / 1_000, longest: this.#histogram.max / 1_000 };
  }
}
