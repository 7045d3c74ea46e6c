import { replyAddress } from "../contract/replies.ts";
import { storedId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { endOf } from "../contract/retention.ts";
import { cancelledEnvelope, cancelledOutcome } from "../wire/outcome.ts";
import { storableText } from "../wire/plain-text.ts";
import { deliverEnd } from "./deliver-end.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** A canceller takes the lock of one job at most this often. */
const MAX_CLAIMS = 5;
/** BullMQ's codes for an end that is refused because the lock has lapsed: it is gone, or another holder has it. */
const LAPSED_CODES: ReadonlySet<unknown> = new Set([-2, -6]);

/**
 * The result of a cancel:
 *
 * - `ended`: the end of the job is stored, or there is no record of it.
 * - `asked`: its worker was asked to stop it. The request is of one run of the job, so it is repeated until the job has ended.
 * - `delivered`: the request is stored with the durable run, which ends by itself. It is not repeated: each delivery is one
 *   more cancel, as each `cancel()` of a task is.
 */
export type CancelResult = "ended" | "asked" | "delivered";

/** Cancels a stored job of one lane, once. */
type CancelPolicy = (
  queues: LaneQueues,
  lane: Lane,
  id: string,
  message: string,
  key?: string,
) => Promise<CancelResult>;

/**
 * Tries once to cancel a stored job, in any state, as its lane prescribes. A durable run receives a cancel that is repeated
 * after a lost answer once, if the repeat has the same `key`. A second cancel would interrupt the run's clean-up.
 */
export const cancelStored: CancelPolicy = (queues, lane, id, message, key) =>
  (lane === "workflow" ? deliverCancel : terminateStored)(queues, lane, id, message, key);

/** Delivers the cancel to the inbox of a durable run, whose clean-up then runs. */
const deliverCancel: CancelPolicy = async (queues, lane, id, message, key) => {
  const text = storableText(message);
  // The key is a part of the item, so that no two cancels have the same text.
  const item = JSON.stringify(key === undefined ? ["c", text] : ["c", text, key]);
  const { engine } = queues;
  const { kind } = await engine.journal.deliver(queues.nameOf(lane), storedId(id), [item], key);
  switch (kind) {
    case "stored":
      return "delivered";
    case "full":
      return "asked";
    default:
      return "ended";
  }
};

/**
 * Ends a stored job as cancelled: one that does not run, at once; a running one through its worker. Nothing of a durable run
 * is executed any more. If the canceller's lock lapses before the end is stored, as on a busy machine, the canceller takes
 * the lock again.
 */
export const terminateStored: CancelPolicy = async (queues, lane, id, message) => {
  const reason = storableText(message);
  for (let claims = 1; ; claims++) {
    try {
      return await cancelOnce(queues, lane, id, reason);
    } catch (error) {
      if (claims >= MAX_CLAIMS || !hasLapsed(error)) throw error;
    }
  }
};

function hasLapsed(error: unknown): boolean {
  return error instanceof Error && "code" in error && LAPSED_CODES.has(error.code);
}

async function cancelOnce(queues: LaneQueues, lane: Lane, id: string, reason: string): Promise<CancelResult> {
  const { engine } = queues;
  const laneName = queues.nameOf(lane);
  const answer = await engine.cancel(laneName, storedId(id), reason);
  if (answer.kind !== "claimed") return answer.kind === "gone" || answer.kind === "done" ? "ended" : "asked";
  const job = await queues.lane(lane).getJob(storedId(id));
  if (job === undefined) return "ended";
  const { attemptsMade: attempts } = job; // BullMQ counts this end as one more.
  await job.moveToCompleted(cancelledEnvelope(reason || undefined), answer.token, false);
  engine.recordEnd(laneName, endOf(job, "cancelled"));
  if (job.data.run !== undefined) await deliverEnd(engine, job.data, cancelledOutcome(reason));
  // The waiter can be in another process than the canceller.
  const reply = replyAddress(job.data, engine.replies);
  if (reply !== undefined) engine.replies.send(reply, { id, outcome: cancelledOutcome(reason), attempts });
  return "ended";
}
