/** At most `max` jobs begin in each window of `duration` milliseconds; a window begins with its first job. */
export class MemoryRateLimit {
  readonly #max: number;
  readonly #duration: number;
  #windowEnd = Number.NEGATIVE_INFINITY;
  #taken = 0;
  #armedFor: number | undefined;

  constructor(max: number, duration: number) {
    this.#max = max;
    this.#duration = duration;
  }

  /** Counts a job that is about to begin; gives the milliseconds to wait instead, when there is no room for it. */
  take(now: number): number {
    if (now >= this.#windowEnd) {
      this.#windowEnd = now + this.#duration;
      this.#taken = 0;
    }
    if (this.#taken >= this.#max) return this.#windowEnd - now;
    this.#taken++;
    return 0;
  }

  /** True the first time in a window: one timer is enough to wake who waits for the next one. */
  arm(): boolean {
    if (this.#armedFor === this.#windowEnd) return false;
    this.#armedFor = this.#windowEnd;
    return true;
  }
}
