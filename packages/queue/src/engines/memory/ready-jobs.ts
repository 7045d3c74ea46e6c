import type { MemoryJob } from "./memory-job.ts";

/** The places before the first job are removed when there are so many of them, and no fewer than the jobs. */
const MIN_TAKEN = 1_024;

/**
 * The jobs of a lane that can be taken, in their order: by priority, and then by the order of their addition. Adding a job
 * that is the last one, and taking the first one, cost the same however many jobs wait.
 */
export class ReadyJobs {
  #jobs: (MemoryJob | undefined)[] = [];
  /** The place of the first job. The places before it are empty. */
  #first = 0;

  get isEmpty(): boolean {
    return this.#first === this.#jobs.length;
  }

  add(job: MemoryJob): void {
    const jobs = this.#jobs;
    let [low, high] = [this.#first, jobs.length];
    // The last place first, which most jobs take.
    if (high > low && !isBefore(job, jobs[high - 1]!)) low = high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(job, jobs[middle]!)) high = middle;
      else low = middle + 1;
    }
    if (low === jobs.length) jobs.push(job);
    else if (low === this.#first && low > 0) jobs[--this.#first] = job;
    else jobs.splice(low, 0, job);
  }

  /** Takes the first job; undefined if there is none. */
  take(): MemoryJob | undefined {
    if (this.isEmpty) return undefined;
    const job = this.#jobs[this.#first];
    this.#jobs[this.#first++] = undefined;
    if (this.#first >= MIN_TAKEN && this.#first * 2 >= this.#jobs.length) {
      this.#jobs = this.#jobs.slice(this.#first);
      this.#first = 0;
    }
    return job;
  }

  remove(job: MemoryJob): void {
    const at = this.#jobs.indexOf(job, this.#first);
    if (at >= 0) this.#jobs.splice(at, 1);
  }

  clear(): void {
    this.#jobs = [];
    this.#first = 0;
  }
}

function isBefore(a: MemoryJob, b: MemoryJob): boolean {
  const [ofA, ofB] = [a.opts.priority ?? 0, b.opts.priority ?? 0];
  return ofA < ofB || (ofA === ofB && a.sequence < b.sequence);
}
