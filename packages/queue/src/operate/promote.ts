import { isScheduledRun, publicId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { JobLostError, TaskOptionsError } from "../errors.ts";
import type { LaneQueues } from "./lane-queues.ts";

/**
 * Lets a delayed job run now, in front of its `delay` or its back-off. It takes its place as a due job does.
 *
 * @throws {@link JobLostError} if there is no such job; {@link TaskOptionsError} if the job is not delayed, is the next run of
 *   a schedule, or is a parked durable run.
 */
export async function promoteStored(queues: LaneQueues, lane: Lane, stored: string): Promise<void> {
  const { engine } = queues;
  await engine.connect();
  const queue = queues.lane(lane);
  const id = publicId(lane, stored);
  const refuse = (why: string): TaskOptionsError =>
    new TaskOptionsError(`Job ${id} cannot be promoted: ${why}`);
  if (isScheduledRun(stored))
    throw refuse("it is the next run of a schedule; run the schedule once more by `runNow`");
  const [record] = await engine.readRecords(queues.nameOf(lane), [stored], {});
  const job = record && (await queue.getJob(stored));
  if (record === undefined || job === undefined)
    throw new JobLostError(`There is no job ${id} at ${engine.url} any more; submit it again`);
  // A parked run that is woken too early finds nothing to do, and is parked again.
  if (lane === "workflow" && record.attemptsStarted > 0)
    throw refuse("it is a durable run that has begun; send it a signal, or wait for its own timer");
  try {
    await job.promote();
  } catch (error) {
    const state = await queue.getJobState(stored);
    if (state === "delayed") throw error;
    throw refuse(`it is ${state}, and not delayed`);
  }
}
