import { lanes } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { cancelStored } from "./cancel.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** The number of jobs that are cancelled at once. With more, a lock could lapse while many large jobs are read. */
const MAX_AT_ONCE = 50;
/** The number of ids of one state that are read at once. */
const IDS_AT_ONCE = 500;

/**
 * Cancels the waiting jobs of a queue, and with `delayed` the delayed ones, too. Running jobs, the next runs of schedules
 * and flows that wait for their children continue.
 *
 * @returns the number of cancelled jobs.
 */
export async function drainQueue(
  queues: LaneQueues,
  { delayed }: { readonly delayed: boolean },
): Promise<number> {
  await queues.engine.connect();
  let drained = 0;
  for (const lane of lanes) {
    for (;;) {
      const count = await drainOnce(queues, lane, delayed);
      drained += count;
      if (count === 0) break;
    }
  }
  return drained;
}

async function drainOnce(queues: LaneQueues, lane: Lane, delayed: boolean): Promise<number> {
  const states = ["waiting", "prioritized", "paused", ...(delayed ? ["delayed" as const] : [])] as const;
  const name = queues.nameOf(lane);
  const found = await Promise.all(
    states.map((state) => queues.engine.idsIn(name, state, 0, IDS_AT_ONCE, "newest")),
  );
  const ids = found.flat().filter((id) => !id.startsWith("repeat:"));
  let count = 0;
  for (let at = 0; at < ids.length; at += MAX_AT_ONCE) {
    const some = ids.slice(at, at + MAX_AT_ONCE);
    const ended = await Promise.all(some.map((id) => cancelStored(queues, lane, id, "drained")));
    count += ended.filter(Boolean).length;
  }
  return count;
}
