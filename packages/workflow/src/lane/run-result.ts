import { cancelledEnvelope, decodeError, decodeValue, StoredFailure } from "@taskloom/queue/lane";
import type { BullJob, LaneContext, WorkerLane } from "@taskloom/queue/lane";
import type { RunEnd } from "../run/host.ts";

/**
 * Returns the result of a run's job, and sends it to its waiter at once if no other end will share the next turn.
 *
 * @throws {@link StoredFailure} for a run that failed.
 */
export function resultOf(
  end: Exclude<RunEnd, { readonly state: "continued" }>,
  job: BullJob,
  lane: WorkerLane | undefined,
  { replies }: LaneContext,
): unknown {
  if (end.state === "failed") throw new StoredFailure(decodeError(end.error), { final: true });
  if (end.state === "cancelled") return cancelledEnvelope(end.message);
  // BullMQ's own client reads the result of its job as plain JSON.
  const result = job.plain === undefined ? end.value : decodeValue(end.value);
  if (lane?.isAlone() === true) replies.sendBehind(job, result);
  return result;
}
