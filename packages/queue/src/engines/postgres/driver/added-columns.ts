import { Job } from "bullmq";
import type { JobJson, Queue } from "bullmq";
import type { NewJob } from "../../../contract/lane-queue.ts";

/** A job to add, as BullMQ's own Job builds and checks it. */
export interface AddedJob {
  readonly id: string;
  readonly json: JobJson;
  readonly opts: string;
  readonly parentKey: string | null;
}

/**
 * Returns a job to add, with the default options of its queue.
 *
 * @throws the error with which BullMQ refuses its options.
 */
export function addedJob(queue: Queue, { name, data, opts }: NewJob): AddedJob {
  const job = new Job(queue, name, data, { ...queue.jobsOpts, ...opts }, opts.jobId);
  const { jobData } = job.toFlowEntry();
  return {
    id: opts.jobId ?? "",
    json: jobData,
    opts: JSON.stringify(jobData.opts),
    parentKey: job.parentKey ?? null,
  };
}

/** Returns jobs as the parameters of `taskloom_add_v1`: one array for each column. */
export function addedColumns(jobs: readonly AddedJob[]): unknown[] {
  return [
    jobs.map(({ id }) => id),
    jobs.map(({ json }) => json.name),
    jobs.map(({ json }) => json.data),
    jobs.map(({ opts }) => opts),
    jobs.map(({ json }) => json.opts.priority ?? 0),
    jobs.map(({ json }) => json.opts.delay ?? 0),
    jobs.map(({ json }) => json.timestamp),
    jobs.map(({ json }) => json.opts.attempts ?? 1),
    jobs.map(({ json }) => json.parent?.queueKey ?? null),
    jobs.map(({ json }) => json.parent?.id ?? null),
    jobs.map(({ parentKey }) => parentKey),
    jobs.map(({ json }) => json.deduplicationId ?? null),
    jobs.map(({ json }) => json.repeatJobKey ?? null),
    jobs.map(({ json }) => json.opts.lifo ?? false),
  ];
}
