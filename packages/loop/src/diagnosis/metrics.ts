import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import type { EventLoopUtilization } from "node:perf_hooks";

/** The result of `loop.metrics()`. */
export interface LoopMetrics {
  /** The number of iterations since the loop was made. */
  iterations: number;
  /** The number of entries in the ready queue. */
  ready: number;
  /** The number of timers, including cancelled timers that are still in the heap. */
  timers: number;
  /** The number of unfinished tasks. */
  tasks: number;
  /** The delay of the thread's event loop in milliseconds since the previous call; zeros at the first call. */
  delay: { min: number; mean: number; p50: number; p99: number; max: number };
  /** The share of time for which the thread was busy since the previous call, from 0 to 1. */
  utilization: number;
}

const RESOLUTION_MS = 10;

/** Measures the thread from one reading to the next. */
export class ThreadMetrics {
  #histogram: ReturnType<typeof monitorEventLoopDelay> | null = null;
  #utilization: EventLoopUtilization = performance.eventLoopUtilization();

  read(): Pick<LoopMetrics, "delay" | "utilization"> {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#utilization);
    this.#utilization = now;
    const delay = { min: 0, mean: 0, p50: 0, p99: 0, max: 0 };
    if (this.#histogram === null) {
      this.#histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      this.#histogram.enable();
    } else if (this.#histogram.count > 0) {
      const h = this.#histogram;
      delay.min = late(h.min);
      delay.mean = late(h.mean);
      delay.p50 = late(h.percentile(50));
      delay.p99 = late(h.percentile(99));
      delay.max = late(h.max);
      h.reset();
    }
    return { delay, utilization };
  }

  stop(): void {
    this.#histogram?.disable();
    this.#histogram = null;
  }
}

/** Returns the delay: the histogram has the time between two samples, and the part above its resolution is the delay. */
function late(nanoseconds: number): number {
  return Math.max(nanoseconds / 1e6 - RESOLUTION_MS, 0);
}
