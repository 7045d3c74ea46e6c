/** The bounds of the loop lane, and the readings above which its limit falls. */
export interface AdmissionLimits {
  /** Jobs at once while the loop is healthy. */
  readonly concurrency: number;
  /** The loop delay in milliseconds above which a reading is bad. */
  readonly maxDelay: number;
  /** The share of busy time, 0 to 1, above which a reading is bad; 1 turns this off. */
  readonly maxUtilization: number;
}

/** One reading of the loop's health. */
export interface LoopHealth {
  /** The 99th percentile of the loop delay, in milliseconds. */
  readonly delay: number;
  /** The share of busy time, 0 to 1. */
  readonly utilization: number;
}

/** The limit falls after so many bad readings in a row. A single one can come from another process of the machine. */
const BAD_READINGS = 2;
/** The limit rises after so many good readings in a row: the hysteresis in time. */
const GOOD_READINGS = 3;
/** A reading is good below this part of the maximum: the hysteresis in level. */
const GOOD_SHARE = 0.5;

/**
 * Decides how many jobs the loop lane runs at once. Two bad readings in a row halve the limit. Three good readings in a
 * row raise it by an eighth of `concurrency`. TCP changes its window in the same way. A reading between good and bad
 * changes nothing, so the limit does not oscillate.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  #limit: number;
  #good = 0;
  #bad = 0;
  /** The number of times that the limit was lowered. */
  reductions = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
    this.#limit = limits.concurrency;
  }

  /** The jobs that may run at once now. */
  get limit(): number {
    return this.#limit;
  }

  get isThrottled(): boolean {
    return this.#limit < this.#limits.concurrency;
  }

  /** Takes a reading, and returns whether the limit has changed. */
  read({ delay, utilization }: LoopHealth): boolean {
    const { concurrency, maxDelay, maxUtilization } = this.#limits;
    const watchesUtilization = maxUtilization < 1;
    const before = this.#limit;
    if (delay > maxDelay || (watchesUtilization && utilization > maxUtilization)) {
      this.#good = 0;
      if (++this.#bad < BAD_READINGS) return false;
      this.#limit = Math.max(1, Math.floor(this.#limit / 2));
      if (this.#limit < before) this.reductions++;
      return this.#limit !== before;
    }
    this.#bad = 0;
    const isGood =
      delay < maxDelay * GOOD_SHARE &&
      (!watchesUtilization || utilization < (maxUtilization * (1 + GOOD_SHARE)) / 2);
    this.#good = isGood ? this.#good + 1 : 0;
    if (this.#good >= GOOD_READINGS && this.isThrottled) {
      this.#good = 0;
      this.#limit = Math.min(concurrency, this.#limit + Math.max(1, Math.ceil(concurrency / 8)));
    }
    return this.#limit !== before;
  }
}
