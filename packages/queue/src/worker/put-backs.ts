/** The first pause of a job that is put back, and the longest while few are; milliseconds. */
const pauseAtFirst = 25;
const pauseAtMost = 250;
/** Each job that is put back lengthens the longest pause by this, up to the bound below; milliseconds. */
const pausePerJob = 10;
const pauseOfMany = 5_000;
/** A job that was not put back for so long is forgotten; at most twice as long. */
const rememberedFor = 4 * pauseOfMany;

/**
 * Says for how long a job that no task of this worker fits is put back. An idle worker that knows it takes it at the
 * first pause or the second, since this one leaves it to others; a worker that comes later has it within
 * {@link pauseAtMost}. Where many jobs fit no worker, the pauses are longer, so that putting back does not keep all busy.
 */
export class PutBacks {
  #now = new Map<string, number>();
  #before = new Map<string, number>();
  #turnedAt = -Infinity;

  /** Returns the pause in whole milliseconds. */
  next(id: string, now: number = performance.now()): number {
    if (now - this.#turnedAt > rememberedFor) {
      this.#before = now - this.#turnedAt > 2 * rememberedFor ? new Map() : this.#now;
      this.#now = new Map();
      this.#turnedAt = now;
    }
    const times = this.#now.get(id) ?? this.#before.get(id) ?? 0;
    this.#now.set(id, times + 1);
    const jobs = Math.max(this.#now.size, this.#before.size);
    const longest = Math.min(pauseOfMany, Math.max(pauseAtMost, jobs * pausePerJob));
    // Two workers that have each other's jobs must not put them back for the same time, again and again.
    return Math.ceil(Math.min(longest, pauseAtFirst * 2 ** Math.min(times, 10)) * (0.5 + Math.random()));
  }
}
