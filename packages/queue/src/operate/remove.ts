import { isScheduledRun, publicId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { TaskOptionsError } from "../errors.ts";
import { terminateStored } from "./cancel.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** The states of a job that does not run, and that a canceller can take. */
const IDLE_STATES: ReadonlySet<string> = new Set(["waiting", "prioritized", "paused", "delayed"]);

/**
 * Removes a job with all that is stored about it. A waiting or delayed job is cancelled first, so its callers receive a
 * CancelledError. A parked durable run is terminated: its clean-up does not run.
 *
 * @returns false if there is no such job.
 * @throws {@link TaskOptionsError} for a job that runs, waits for its children, or is the next run of a schedule.
 */
export async function removeStored(queues: LaneQueues, lane: Lane, stored: string): Promise<boolean> {
  const { engine } = queues;
  await engine.connect();
  const state = await queues.lane(lane).getJobState(stored);
  if (IDLE_STATES.has(state) && !isScheduledRun(stored))
    await terminateStored(queues, lane, stored, "removed");
  const removed = await engine.removeEnded(queues.nameOf(lane), [stored]);
  if (removed.length > 0) return true;
  const now = await queues.lane(lane).getJobState(stored);
  if (now === "unknown") return false;
  const id = publicId(lane, stored);
  throw new TaskOptionsError(
    isScheduledRun(stored)
      ? `Job ${id} is the next run of a schedule, which needs it; remove the schedule, or cancel this run`
      : `Job ${id} cannot be removed while it is ${now}; cancel it, and remove it when it has ended`,
  );
}
