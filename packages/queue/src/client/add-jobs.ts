import type { LaneQueue, NewJob } from "../contract/lane-queue.ts";

/**
 * Adds jobs. On an engine whose jobs BullMQ's own commands add, a single job is added without the transaction that BullMQ makes
 * for a bulk, which would take most of the time.
 */
export async function addJobs(
  lane: LaneQueue,
  jobs: NewJob[],
): Promise<readonly { readonly id?: string | undefined }[]> {
  const [only, ...others] = jobs;
  return only === undefined || others.length > 0
    ? await lane.addBulk(jobs)
    : [await lane.add(only.name, only.data, only.opts)];
}
