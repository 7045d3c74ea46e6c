import { replyAddress } from "../contract/replies.ts";
import { storedId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { endOf } from "../contract/retention.ts";
import { cancelledEnvelope, cancelledOutcome } from "../wire/outcome.ts";
import { storableText } from "../wire/plain-text.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** A canceller takes the lock of one job at most this often. */
const MAX_CLAIMS = 5;
/** BullMQ's codes for an end that is refused because the lock has lapsed: it is gone, or another holder has it. */
const LAPSED_CODES: ReadonlySet<unknown> = new Set([-2, -6]);

/**
 * Tries once to cancel a stored job, in any state. If the canceller's lock lapses before the end is stored, as on a busy
 * machine, the canceller takes the lock again.
 *
 * @returns true if the job's end is stored, or if there is no record of it; false if its worker was asked to stop it.
 */
export async function cancelStored(
  queues: LaneQueues,
  lane: Lane,
  id: string,
  message: string,
): Promise<boolean> {
  const reason = storableText(message);
  for (let claims = 1; ; claims++) {
    try {
      return await cancelOnce(queues, lane, id, reason);
    } catch (error) {
      if (claims >= MAX_CLAIMS || !hasLapsed(error)) throw error;
    }
  }
}

function hasLapsed(error: unknown): boolean {
  return error instanceof Error && "code" in error && LAPSED_CODES.has(error.code);
}

async function cancelOnce(queues: LaneQueues, lane: Lane, id: string, reason: string): Promise<boolean> {
  const { engine } = queues;
  const laneName = queues.nameOf(lane);
  const answer = await engine.cancel(laneName, storedId(id), reason);
  if (answer.kind !== "claimed") return answer.kind === "gone" || answer.kind === "done";
  const job = await queues.lane(lane).getJob(storedId(id));
  if (job === undefined) return true;
  const { attemptsMade: attempts } = job; // BullMQ counts this end as one more.
  await job.moveToCompleted(cancelledEnvelope(reason || undefined), answer.token, false);
  engine.recordEnd(laneName, endOf(job, "cancelled"));
  // The waiter can be in another process than the canceller.
  const reply = replyAddress(job.data, engine.replies);
  if (reply !== undefined) engine.replies.send(reply, { id, outcome: cancelledOutcome(reason), attempts });
  return true;
}
