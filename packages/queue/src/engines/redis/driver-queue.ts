import type { Job, JobsOptions } from "bullmq";
import type { LaneDriver } from "../../contract/lane-driver.ts";
import type { JobData } from "../../wire/job-data.ts";
import { ReadableQueue } from "./readable-jobs.ts";

/** A lane's queue for submitters. Its jobs are added by a driver, many in one step. */
export class DriverQueue extends ReadableQueue {
  #driver: LaneDriver | undefined;

  /** Sets the driver that adds jobs. */
  addBy(driver: LaneDriver): this {
    this.#driver = driver;
    return this;
  }

  /** @returns the ids of the jobs, without their other fields. */
  override async addBulk(
    jobs: { name: string; data: JobData; opts?: JobsOptions }[],
  ): ReturnType<ReadableQueue["addBulk"]> {
    if (this.#driver === undefined) return await super.addBulk(jobs);
    const added = await this.#driver.add(jobs.map(({ name, data, opts = {} }) => ({ name, data, opts })));
    return added.map((id) => {
      if (typeof id !== "string") throw id;
      return { id } as Job;
    });
  }

  override async add(name: string, data: JobData, opts?: JobsOptions): ReturnType<ReadableQueue["add"]> {
    if (this.#driver === undefined) return await super.add(name, data, opts);
    const [job] = await this.addBulk([{ name, data, ...(opts === undefined ? {} : { opts }) }]);
    return job!;
  }
}
