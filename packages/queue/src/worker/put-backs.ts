/** The first pause of a job that is put back. */
const FIRST_PAUSE_MS = 25;
/** The longest pause while few jobs are put back. */
const MAX_PAUSE_MS = 250;
/** Each job that is put back lengthens the longest pause by this time, up to {@link MAX_PAUSE_OF_MANY_MS}. */
const PAUSE_PER_JOB_MS = 10;
const MAX_PAUSE_OF_MANY_MS = 5_000;
/** The count of a job that was not put back for this long is dropped, at the latest after twice this time. */
const REMEMBER_MS = 4 * MAX_PAUSE_OF_MANY_MS;

/**
 * Determines the pauses of jobs that no task of this worker fits. During a pause the job is left to other workers. An
 * idle worker that knows the task takes the job after the first or second pause, and a worker that starts later takes it
 * within {@link MAX_PAUSE_MS}. If many jobs fit no worker, the pauses are longer, so that put-backs do not keep all
 * workers busy.
 */
export class PutBacks {
  /** The put-backs of each job, in this period and in the one before. */
  #now = new Map<string, number>();
  #before = new Map<string, number>();
  #periodStart = -Infinity;

  /** Returns the next pause of a job in whole milliseconds. */
  next(id: string, now: number = performance.now()): number {
    if (now - this.#periodStart > REMEMBER_MS) {
      this.#before = now - this.#periodStart > 2 * REMEMBER_MS ? new Map() : this.#now;
      this.#now = new Map();
      this.#periodStart = now;
    }
    const times = this.#now.get(id) ?? this.#before.get(id) ?? 0;
    this.#now.set(id, times + 1);
    const jobs = Math.max(this.#now.size, this.#before.size);
    const longest = Math.min(MAX_PAUSE_OF_MANY_MS, Math.max(MAX_PAUSE_MS, jobs * PAUSE_PER_JOB_MS));
    // The pause is random, since two workers that have each other's jobs could otherwise swap them for ever.
    return Math.ceil(Math.min(longest, FIRST_PAUSE_MS * 2 ** Math.min(times, 10)) * (0.5 + Math.random()));
  }
}
