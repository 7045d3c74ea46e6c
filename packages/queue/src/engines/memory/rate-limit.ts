/** At most `max` jobs begin in each window of `duration` milliseconds; a window begins with its first job. */
export class MemoryRateLimit {
  readonly max: number;
  readonly duration: number;
  #windowEnd = Number.NEGATIVE_INFINITY;
  #taken = 0;
  #armedFor: number | undefined;

  constructor(max: number, duration: number) {
    this.max = max;
    this.duration = duration;
  }

  /** Counts a job that is about to begin and returns 0. If there is no room for it, returns the milliseconds to wait. */
  take(now: number): number {
    if (now >= this.#windowEnd) {
      this.#windowEnd = now + this.duration;
      this.#taken = 0;
    }
    if (this.#taken >= this.max) return this.#windowEnd - now;
    this.#taken++;
    return 0;
  }

  /** Returns true the first time in a window: one timer is enough to wake all workers for the next window. */
  arm(): boolean {
    if (this.#armedFor === this.#windowEnd) return false;
    this.#armedFor = this.#windowEnd;
    return true;
  }
}
