import type { JobJson, ParentKeyOpts } from "bullmq";
import type { NewJob } from "../operations/add.ts";

/** Returns the job to add for BullMQ's form of it. An empty `jobId` lets the queue choose an id. */
export function newJob(queue: string, job: JobJson, jobId: string, parent: ParentKeyOpts = {}): NewJob {
  const opts = job.opts ?? {};
  return {
    queue,
    id: jobId === "" || jobId === undefined ? (job.id ?? "") : jobId,
    name: job.name,
    data: job.data ?? "{}",
    opts: job.delay === undefined ? opts : { ...opts, delay: job.delay },
    priority: job.priority ?? opts.priority ?? 0,
    delay: job.delay ?? opts.delay ?? 0,
    timestamp: job.timestamp ?? Date.now(),
    parentQueue: job.parent?.queueKey ?? null,
    parentId: job.parent?.id ?? null,
    parentKey: parent.parentKey ?? job.parentKey ?? null,
    dedupId: job.deduplicationId ?? null,
    schedulerId: job.repeatJobKey ?? null,
    lifo: opts.lifo ?? false,
    waitsForChildren: parent.addToWaitingChildren ?? false,
  };
}
