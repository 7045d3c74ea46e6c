import type { DeduplicationOptions } from "bullmq";
import type { KeptSubmission } from "../../contract/stored-job.ts";
import type { NewJob } from "../../contract/lane-queue.ts";
import type { MemoryJob } from "./memory-job.ts";

/** Who holds a key, and until when: a finished job lets go of it, a time to live does so by itself. */
interface Holding {
  readonly job: MemoryJob;
  readonly until: number;
  readonly options: DeduplicationOptions;
  /** The last submission that came while the holder ran; it is added when the holder ends. */
  next?: NewJob;
}

/** The keys by which duplicates are known. */
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

  /** A duplicate came: with `extend`, the key is held for another time to live. */
  refresh(options: DeduplicationOptions): void {
    const holding = this.#holdings.get(options.id);
    if (holding !== undefined && options.extend === true)
      this.#holdings.set(options.id, { ...holding, until: this.#until(options) });
  }

  keep(key: string, job: NewJob): void {
    const holding = this.#holdings.get(key);
    if (holding !== undefined) holding.next = job;
  }

  /** The submission that waits for the holder of a key to end. */
  kept(key: string): KeptSubmission | undefined {
    const next = this.#holdings.get(key)?.next;
    return next === undefined ? undefined : { id: next.opts.jobId!, reply: next.data.reply };
  }

  /** Takes it back, if it has this id. */
  dropKept(key: string, id: string): boolean {
    const holding = this.#holdings.get(key);
    if (holding?.next?.opts.jobId !== id) return false;
    delete holding.next;
    return true;
  }

  /** A job ended: gives the submission that waited for that. A key with a time to live is held until it is over. */
  release(job: MemoryJob): NewJob | undefined {
    const key = job.opts.deduplication?.id;
    const holding = key === undefined ? undefined : this.#holdings.get(key);
    if (key === undefined || holding?.job !== job) return undefined;
    if (holding.until === Number.POSITIVE_INFINITY) this.#holdings.delete(key);
    return holding.next;
  }
}
