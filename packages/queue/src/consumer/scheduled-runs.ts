import { JobScheduler } from "bullmq";
import type { IQueueBackend, JobsOptions, RepeatOptions } from "bullmq";
import type { ClaimedJob } from "./claimed-job.ts";
import type { LaneSource } from "./lane-source.ts";

/** Stores the next run of a schedule when a worker takes a run, as BullMQ's workers do. */
export class ScheduledRuns {
  readonly #source: LaneSource;
  #scheduler: JobScheduler | undefined;

  constructor(source: LaneSource) {
    this.#source = source;
  }

  /**
   * Stores the next run. It is stored once, however often it is repeated for the same run.
   *
   * @throws if the engine refuses it.
   */
  async storeNext(job: ClaimedJob, key: string): Promise<void> {
    this.#scheduler ??= this.#open();
    // An older BullMQ can have left a repeatable job, which has no schedule any more.
    if (!(await this.#scheduler.isJobScheduler(key))) return;
    const { repeat = {} }: JobsOptions & { readonly repeat?: RepeatOptions } = job.opts;
    await this.#scheduler.upsertJobScheduler(key, repeat, job.name, job.data, job.opts, {
      override: false,
      producerId: job.id,
    });
  }

  #open(): JobScheduler {
    const backend = (): IQueueBackend => this.#source.backend;
    return new JobScheduler(this.#source.name, this.#source.opts, backend);
  }
}
