import { lanes } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** The number of jobs of a queue in each state. A cancelled job counts as neither completed nor failed. */
export interface QueueCounts {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
}

/** The states are named, since by default BullMQ on PostgreSQL leaves out the waiting jobs of a paused queue. */
const COUNTED_STATES = [
  "wait",
  "paused",
  "prioritized",
  "waiting-children",
  "active",
  "delayed",
  "completed",
  "failed",
] as const;

/** Counts a queue's jobs in all lanes, or in one. */
export async function countJobs(queues: LaneQueues, lane?: Lane): Promise<QueueCounts> {
  await queues.engine.connect();
  const total = { waiting: 0, active: 0, delayed: 0, completed: 0, failed: 0, cancelled: 0 };
  const read = async (each: Lane): Promise<readonly [Record<string, number>, number]> =>
    await Promise.all([
      queues.lane(each).getJobCounts(...COUNTED_STATES),
      queues.engine.countCancelled(queues.nameOf(each)),
    ]);
  for (const [counts, cancelled] of await Promise.all((lane === undefined ? lanes : [lane]).map(read))) {
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

/** Returns the milliseconds for which the oldest waiting job of a lane has waited; 0 if no job waits. */
export async function oldestWait(queues: LaneQueues, lane: Lane): Promise<number> {
  const { engine } = queues;
  const name = queues.nameOf(lane);
  const ids = await Promise.all(
    (engine.shardViews?.() ?? [engine]).flatMap((shard) =>
      (["waiting", "paused", "prioritized"] as const).map((state) =>
        shard.idsIn(name, state, 0, 1, "oldest"),
      ),
    ),
  );
  const records = await engine.readRecords(name, ids.flat(), {});
  const times = records.flatMap((record) => (record === undefined ? [] : [record.timestamp]));
  return times.length === 0 ? 0 : Math.max(0, Math.round(engine.now() - Math.min(...times)));
}
