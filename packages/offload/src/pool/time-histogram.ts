import { createHistogram } from "node:perf_hooks";
import type { RecordableHistogram } from "node:perf_hooks";

/** The distribution of a time over the calls of a pool, in milliseconds. Percentiles are exact to 1 %. */
export interface TimeSummary {
  /** The number of calls. All other numbers are 0 without any. */
  readonly count: number;
  readonly mean: number;
  readonly stddev: number;
  readonly min: number;
  readonly max: number;
  readonly p50: number;
  readonly p75: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
}

/** The unit of the histogram: a microsecond, in parts of a millisecond. */
const PER_MS = 1_000;
/** The longest time that is recorded. A longer one counts as this one. */
const LONGEST_MS = 7 * 86_400_000;

/** Records a time of each call. A record costs about 100 ns, and the histogram some 30 KB from the first call on. */
export class TimeHistogram {
  #histogram: RecordableHistogram | undefined;

  /** Records a time in milliseconds. Clocks of two threads can differ by some microseconds, so it may be below 0. */
  record(milliseconds: number): void {
    this.#histogram ??= createHistogram({ lowest: 1, highest: LONGEST_MS * PER_MS, figures: 2 });
    // The histogram has no 0.
    this.#histogram.record(Math.max(1, Math.round(Math.min(milliseconds, LONGEST_MS) * PER_MS)));
  }

  summary(): TimeSummary {
    const histogram = this.#histogram;
    const at = (percentile: number): number =>
      histogram === undefined ? 0 : histogram.percentile(percentile) / PER_MS;
    return {
      count: histogram?.count ?? 0,
      mean: (histogram?.mean ?? 0) / PER_MS,
      stddev: (histogram?.stddev ?? 0) / PER_MS,
      min: (histogram?.min ?? 0) / PER_MS,
      max: (histogram?.max ?? 0) / PER_MS,
      p50: at(50),
      p75: at(75),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
    };
  }
}
