import { TaskOptionsError } from "../errors.ts";
import { type Lane, lanes } from "../lane.ts";
import { type FailureGroup, failedJob, groupFailures } from "./failures.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** How many jobs of a queue are in each state. A cancelled job counts as neither completed nor failed. */
export interface QueueCounts {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
}

/** At most `max` jobs begin in `per` milliseconds, in each lane, all workers together. */
export interface RateLimit {
  readonly max: number;
  readonly per: number;
}

/** Named, since by default BullMQ on PostgreSQL leaves out what waits in a queue that is paused. */
const countedStates = [
  "wait",
  "paused",
  "prioritized",
  "waiting-children",
  "active",
  "delayed",
  "completed",
  "failed",
] as const;

/** Counts a queue's jobs in both lanes, or in one. */
export async function countJobs(queues: LaneQueues, lane?: Lane): Promise<QueueCounts> {
  await queues.engine.connect();
  const total = { waiting: 0, active: 0, delayed: 0, completed: 0, failed: 0, cancelled: 0 };
  for (const each of lane === undefined ? lanes : [lane]) {
    const [counts, cancelled] = await Promise.all([
      queues.lane(each).getJobCounts(...countedStates),
      queues.engine.countCancelled(queues.nameOf(each)),
    ]);
    for (const state of ["waiting", "wait", "paused", "prioritized", "waiting-children"])
      total.waiting += counts[state] ?? 0;
    total.active += counts["active"] ?? 0;
    total.delayed += counts["delayed"] ?? 0;
    total.completed += Math.max(0, (counts["completed"] ?? 0) - cancelled);
    total.failed += counts["failed"] ?? 0;
    total.cancelled += cancelled;
  }
  return total;
}

/** The latest `limit` jobs of each lane that failed for good, grouped. */
export async function failedJobs(queues: LaneQueues, limit: number): Promise<FailureGroup[]> {
  await queues.engine.connect();
  const found = await queues.both(async (queue, lane) => {
    const jobs = await queue.getJobs(["failed"], 0, limit - 1);
    return jobs.flatMap((job) => (job === undefined ? [] : [{ task: job.name, job: failedJob(lane, job) }]));
  });
  return groupFailures(found.flat());
}

/** Sets or lifts the rate limit of each lane. */
export async function limitRate(queues: LaneQueues, limit: RateLimit | undefined): Promise<void> {
  if (
    limit !== undefined &&
    !(Number.isSafeInteger(limit.max) && limit.max > 0 && Number.isSafeInteger(limit.per) && limit.per > 0)
  ) {
    throw new TaskOptionsError(
      `Expected a rate limit to be { max, per }, whole numbers above 0, got ${JSON.stringify(limit)}.`,
    );
  }
  await queues.engine.connect();
  await queues.both((queue) =>
    limit === undefined ? queue.removeGlobalRateLimit() : queue.setGlobalRateLimit(limit.max, limit.per),
  );
}
