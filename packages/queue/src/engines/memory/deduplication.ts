import type { DeduplicationOptions } from "bullmq";
import type { KeptSubmission } from "../../contract/stored-job.ts";
import type { NewJob } from "../../contract/lane-queue.ts";
import type { MemoryJob } from "./memory-job.ts";

/** The holder of a key, and the end of its hold. A hold ends with its job, or with its time to live. */
interface Holding {
  readonly job: MemoryJob;
  readonly until: number;
  readonly options: DeduplicationOptions;
  /** The last submission that came while the holder ran. It is added when the holder ends. */
  next?: NewJob;
}

/** The deduplication keys of a lane. */
export class Deduplication {
  readonly #now: () => number;
  readonly #holdings = new Map<string, Holding>();

  constructor(now: () => number) {
    this.#now = now;
  }

  hold(options: DeduplicationOptions, job: MemoryJob): void {
    this.#holdings.set(options.id, { job, until: this.#until(options), options });
  }

  #until({ ttl, keepLastIfActive }: DeduplicationOptions): number {
    return ttl === undefined || keepLastIfActive === true ? Number.POSITIVE_INFINITY : this.#now() + ttl;
  }

  holder(key: string): MemoryJob | undefined {
    const holding = this.#holdings.get(key);
    if (holding === undefined) return undefined;
    if (holding.until > this.#now()) return holding.job;
    this.#holdings.delete(key);
    return undefined;
  }

  /** Handles a duplicate: with `extend`, the key is held for another time to live. */
  refresh(options: DeduplicationOptions): void {
    const holding = this.#holdings.get(options.id);
    if (holding !== undefined && options.extend === true)
      this.#holdings.set(options.id, { ...holding, until: this.#until(options) });
  }

  keep(key: string, job: NewJob): void {
    const holding = this.#holdings.get(key);
    if (holding !== undefined) holding.next = job;
  }

  /** Returns the submission that waits for the holder of a key to end. */
  kept(key: string): KeptSubmission | undefined {
    const next = this.#holdings.get(key)?.next;
    return next === undefined ? undefined : { id: next.opts.jobId!, reply: next.data.reply };
  }

  /** Drops the kept submission if it has this id, and returns whether it did. */
  dropKept(key: string, id: string): boolean {
    const holding = this.#holdings.get(key);
    if (holding?.next?.opts.jobId !== id) return false;
    delete holding.next;
    return true;
  }

  /** Handles the end of a job, and returns the submission that waited for it. A time to live holds the key until it is over. */
  release(job: MemoryJob): NewJob | undefined {
    const key = job.opts.deduplication?.id;
    const holding = key === undefined ? undefined : this.#holdings.get(key);
    if (key === undefined || holding?.job !== job) return undefined;
    if (holding.until === Number.POSITIVE_INFINITY) this.#holdings.delete(key);
    return holding.next;
  }

  /** Releases the key of an ended job that is removed, also if its time to live is not over. */
  drop(job: MemoryJob): void {
    const key = job.opts.deduplication?.id;
    if (key !== undefined && this.#holdings.get(key)?.job === job) this.#holdings.delete(key);
  }
}
