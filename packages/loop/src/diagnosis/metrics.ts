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
  /** The share of time for which the thread was busy since the previous call, or since its start at the first; from 0 to 1. */
  utilization: number;
}

const RESOLUTION_MS = 10;
/** The busy milliseconds between two readings below which no delay is worth a measurement. */
const QUIET_MS = 50;
/** After so many quiet readings in a row the measurement pauses. */
const QUIET_READINGS = 3;

/**
 * Measures the thread from one reading to the next.
 *
 * The histogram wakes the thread a hundred times a second, which is most of the work of an idle service. While the thread
 * is quiet, the histogram therefore pauses, and the delay is the busy time between two readings: no delay can be longer.
 * The first reading with more than {@link QUIET_MS} starts the histogram again.
 */
export class ThreadMetrics {
  #histogram: ReturnType<typeof monitorEventLoopDelay> | null = null;
  #utilization: EventLoopUtilization = { idle: 0, active: 0, utilization: 0 };
  #quietReadings = 0;
  #hasBegun = false;

  read(): Pick<LoopMetrics, "delay" | "utilization"> {
    const now = performance.eventLoopUtilization();
    const { utilization, active } = performance.eventLoopUtilization(now, this.#utilization);
    this.#utilization = now;
    const delay =
      this.#histogram === null ? delayWithin(this.#hasBegun ? active : 0) : delayOf(this.#histogram);
    this.#quietReadings = this.#hasBegun && active < QUIET_MS ? this.#quietReadings + 1 : 0;
    this.#hasBegun = true;
    if (this.#quietReadings >= QUIET_READINGS) this.#pause();
    else if (this.#histogram === null) this.#measure();
    return { delay, utilization };
  }

  #measure(): void {
    // A histogram that is enabled again would count the pause as one long delay, so each is new.
    this.#histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    this.#histogram.enable();
  }

  #pause(): void {
    this.#histogram?.disable();
    this.#histogram = null;
  }

  stop(): void {
    this.#pause();
    this.#hasBegun = false;
  }
}

function delayOf(histogram: NonNullable<ReturnType<typeof monitorEventLoopDelay>>): LoopMetrics["delay"] {
  if (histogram.count === 0) return delayWithin(0);
  const { min, mean, max } = histogram;
  const [p50, p99] = [histogram.percentile(50), histogram.percentile(99)];
  histogram.reset();
  return { min: late(min), mean: late(mean), p50: late(p50), p99: late(p99), max: late(max) };
}

/** Returns the longest delay that is possible in so much busy time. */
function delayWithin(busy: number): LoopMetrics["delay"] {
  return { min: 0, mean: 0, p50: 0, p99: busy, max: busy };
}

/** Returns the delay: the histogram has the time between two samples, and the part above its resolution is the delay. */
function late(nanoseconds: number): number {
  return Math.max(nanoseconds / 1e6 - RESOLUTION_MS, 0);
}
