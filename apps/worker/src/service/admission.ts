/** What the loop lane may run at once, and when that is changed. */
export interface AdmissionLimits {
  /** Jobs at once while the loop is well. */
  readonly concurrency: number;
  /** Milliseconds of loop delay above which it is not. */
  readonly maxDelay: number;
  /** The share of busy time, 0 to 1, above which it is not; 1 never. */
  readonly maxUtilization: number;
}

/** The loop's health over the last stretch of time. */
export interface LoopHealth {
  /** Milliseconds; the 99th percentile. */
  readonly delay: number;
  readonly utilization: number;
}

/** How many bad readings in a row shut some out: one alone is a machine that was busy with something else. */
const lateReadings = 2;
/** How many good readings in a row let more in again: the hysteresis in time. */
const calmReadings = 3;
/** A reading is good only below this part of the limit: the hysteresis in level. */
const calmShare = 0.5;

/**
 * Decides how many jobs the loop lane may run at once: halved when two readings in a row are bad, raised by an eighth of the whole
 * after three good ones in a row, as TCP does with its window. Between good and bad nothing moves, so that it does not
 * swing.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  #limit: number;
  #calm = 0;
  #late = 0;
  /** How often it was lowered. */
  reductions = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
    this.#limit = limits.concurrency;
  }

  /** What may run at once now. */
  get limit(): number {
    return this.#limit;
  }

  get isThrottled(): boolean {
    return this.#limit < this.#limits.concurrency;
  }

  /** Takes in a reading; true when the limit changed. */
  read({ delay, utilization }: LoopHealth): boolean {
    const { concurrency, maxDelay, maxUtilization } = this.#limits;
    const watchesUtilization = maxUtilization < 1;
    const before = this.#limit;
    if (delay > maxDelay || (watchesUtilization && utilization > maxUtilization)) {
      this.#calm = 0;
      if (++this.#late < lateReadings) return false;
      this.#limit = Math.max(1, Math.floor(this.#limit / 2));
      if (this.#limit < before) this.reductions++;
      return this.#limit !== before;
    }
    this.#late = 0;
    const isCalm =
      delay < maxDelay * calmShare &&
      (!watchesUtilization || utilization < (maxUtilization * (1 + calmShare)) / 2);
    this.#calm = isCalm ? this.#calm + 1 : 0;
    if (this.#calm >= calmReadings && this.isThrottled) {
      this.#calm = 0;
      this.#limit = Math.min(concurrency, this.#limit + Math.max(1, Math.ceil(concurrency / 8)));
    }
    return this.#limit !== before;
  }
}
