import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import type { EventLoopUtilization } from "node:perf_hooks";

/** What `loop.metrics()` gives. */
export interface LoopMetrics {
  /** Iterations since the loop was made. */
  iterations: number;
  /** Handles and tasks that are ready now. */
  ready: number;
  /** Timers that are set, cancelled ones that are still in the heap included. */
  timers: number;
  /** Tasks that are not done. */
  tasks: number;
  /** How late the thread came to what was due, in milliseconds, since the last call; zeros at the first. */
  delay: { min: number; mean: number; p50: number; p99: number; max: number };
  /** The share of time the thread was busy since the last call, from 0 to 1. */
  utilization: number;
}

const RESOLUTION = 10;

/** Measures of the thread, between one reading and the next. */
export class ThreadMetrics {
  #histogram: ReturnType<typeof monitorEventLoopDelay> | null = null;
  #utilization: EventLoopUtilization = performance.eventLoopUtilization();

  read(): Pick<LoopMetrics, "delay" | "utilization"> {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#utilization);
    this.#utilization = now;
    const delay = { min: 0, mean: 0, p50: 0, p99: 0, max: 0 };
    if (this.#histogram === null) {
      this.#histogram = monitorEventLoopDelay({ resolution: RESOLUTION });
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

/** The histogram holds the time between two looks: what is beyond its resolution is the delay. */
function late(nanoseconds: number): number {
  return Math.max(nanoseconds / 1e6 - RESOLUTION, 0);
}
