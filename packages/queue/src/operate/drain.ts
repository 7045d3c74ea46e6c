import { isScheduledRun, lanes } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import type { StoredState } from "../contract/job-record.ts";
import { terminateStored } from "./cancel.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** The number of jobs that are cancelled at once. With more, a lock could lapse while many large jobs are read. */
const MAX_AT_ONCE = 50;
/** The number of ids of one state that are read at once. */
const IDS_AT_ONCE = 500;

/**
 * Cancels the waiting jobs of a queue, and with `delayed` the delayed ones, too. Running jobs, the next runs of schedules
 * and flows that wait for their children continue, and so does a durable run that has begun, parked or not.
 *
 * @returns the number of cancelled jobs.
 */
export async function drainQueue(
  queues: LaneQueues,
  { delayed }: { readonly delayed: boolean },
): Promise<number> {
  await queues.engine.connect();
  const states = ["waiting", "prioritized", "paused", ...(delayed ? ["delayed" as const] : [])] as const;
  let drained = 0;
  for (const lane of lanes) {
    for (let count = -1; count !== 0; drained += count) {
      count = 0;
      for (const state of states) count += await drainState(queues, lane, state);
    }
  }
  return drained;
}

/** Cancels the jobs that are in a state now. Those that continue are passed over. */
async function drainState(queues: LaneQueues, lane: Lane, state: StoredState): Promise<number> {
  const name = queues.nameOf(lane);
  let count = 0;
  for (let passed = 0; ;) {
    const ids = await queues.engine.idsIn(name, state, passed, IDS_AT_ONCE, "newest");
    const chosen = await drainable(queues, lane, ids);
    passed += ids.length;
    for (let at = 0; at < chosen.length; at += MAX_AT_ONCE) {
      const some = chosen.slice(at, at + MAX_AT_ONCE);
      // A run that has not begun has nothing to clean up, so it is not asked to.
      const results = await Promise.all(some.map((id) => terminateStored(queues, lane, id, "drained")));
      const ended = results.filter((result) => result === "ended").length;
      count += ended;
      passed -= ended;
    }
    if (ids.length < IDS_AT_ONCE) return count;
  }
}

async function drainable(queues: LaneQueues, lane: Lane, all: readonly string[]): Promise<readonly string[]> {
  const ids = all.filter((id) => !isScheduledRun(id));
  if (lane !== "workflow" || ids.length === 0) return ids;
  const records = await queues.engine.readRecords(queues.nameOf(lane), ids, {});
  return ids.filter((_, at) => records[at] !== undefined && records[at].attemptsStarted === 0);
}
