import type { JobState as BullState } from "bullmq";
import { laneOfJobId, lanes, storedId } from "../contract/lane.ts";
import { isCancelledEnvelope, outcomeOf } from "../wire/outcome.ts";
import type { Outcome } from "../wire/outcome.ts";
import { MAX_LOOKUP } from "./lane-queues.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** The state of a stored job: BullMQ's states, and `cancelled`, which is Taskloom's. `unknown` is a job without a record. */
export type StoredJobState = BullState | "cancelled" | "unknown";

/** The state of a job as {@link jobStates} returns it. `pending` stands for every state before the end. */
export type JobSummary = "missing" | "pending" | Outcome["state"];

/** Returns the exact state of one job. */
export async function jobState(queues: LaneQueues, id: string): Promise<StoredJobState> {
  await queues.engine.connect();
  const queue = queues.lane(laneOfJobId(id) ?? "loop");
  const state = await queue.getJobState(storedId(id));
  if (state !== "completed") return state;
  return isCancelledEnvelope((await queue.getJob(storedId(id)))?.returnvalue) ? "cancelled" : state;
}

/** Returns the states of many jobs by their full ids, which costs far less than {@link jobState} for each. */
export async function jobStates(
  queues: LaneQueues,
  ids: readonly string[],
): Promise<Map<string, JobSummary>> {
  await queues.engine.connect();
  const states = new Map<string, JobSummary>();
  for (const lane of lanes) {
    const ofLane = ids.filter((id) => laneOfJobId(id) === lane);
    for (let from = 0; from < ofLane.length; from += MAX_LOOKUP) {
      const slice = ofLane.slice(from, from + MAX_LOOKUP);
      for (const [index, job] of (await queues.lookup(lane, slice)).entries()) {
        const state = job.kind === "finished" ? outcomeOf(job.record).state : job.kind;
        states.set(slice[index]!, state);
      }
    }
  }
  return states;
}
