import { laneQueueName, lanes } from "../../contract/lane.ts";
import type { LaneQueue, StoredSchedule } from "../../contract/lane-queue.ts";
import { timesOf } from "../../contract/times-of.ts";
import { placeOfKey, shardOfHash } from "../../contract/shard-id.ts";
import type { RedisEngine } from "../redis/redis-engine.ts";
import type { Shards } from "./shards.ts";
import { withLane } from "./with-lane.ts";

/** The number of schedules of a lane that are moved in one step. */
const AT_ONCE = 50;

/** A schedule on its way to another shard. */
interface MovingSchedule {
  readonly laneName: string;
  readonly schedule: StoredSchedule;
}

/**
 * Moves the schedules of all queues to the shards of the present layout, and returns their number. A schedule is removed
 * before it is stored again, since on two shards it would run twice. Meanwhile its new shard keeps it in a record of its own,
 * so that a move that was cut is finished by the next one.
 */
export async function moveSchedules(shards: Shards, queues: readonly string[]): Promise<number> {
  for (const engine of shards.all) await finishMoves(engine);
  let moved = 0;
  for (const queue of queues)
    for (const lane of lanes)
      for (const shard of shards.all.keys())
        moved += await moveFrom(shards, shard, laneQueueName(queue, lane));
  return moved;
}

async function moveFrom(shards: Shards, shard: number, laneName: string): Promise<number> {
  let moved = 0;
  await withLane(shards.engine(shard), laneName, async (lane) => {
    for (let from = 0; ;) {
      const some = await lane.getJobSchedulers(from, from + AT_ONCE - 1, true);
      for (const schedule of some) {
        const target = shardOfHash(placeOfKey(schedule.key).hash, shards.layout.count);
        if (target === shard) from++;
        else {
          const engine = shards.engine(target);
          const moving: MovingSchedule = { laneName, schedule };
          await engine.shardRecord().keepMoving(`${laneName}:${schedule.key}`, JSON.stringify(moving));
          await lane.removeJobScheduler(schedule.key);
          await finishMoves(engine);
          moved++;
        }
      }
      if (some.length < AT_ONCE) return;
    }
  });
  return moved;
}

/** Stores the schedules that were on their way to a shard. */
async function finishMoves(engine: RedisEngine): Promise<void> {
  const record = engine.shardRecord();
  for (const [name, text] of Object.entries(await record.moving())) {
    const { laneName, schedule } = JSON.parse(text) as MovingSchedule;
    await withLane(engine, laneName, async (lane) => {
      const stored = await lane.getJobScheduler(schedule.key);
      if (stored == null) await store(lane, schedule);
    });
    await record.hasMoved(name);
  }
}

/** Stores a schedule, with its next run at the time that it had before. */
async function store(lane: LaneQueue, schedule: StoredSchedule): Promise<void> {
  const { key, name, next, pattern, template } = schedule;
  await lane.upsertJobScheduler(
    key,
    {
      ...timesOf(schedule),
      // The times of a pattern lie after the start, and those of an interval begin with it.
      ...(next == null ? {} : { startDate: pattern === undefined ? next : next - 1 }),
    },
    { name, data: template?.data ?? { v: 1, version: 1, args: [] }, opts: template?.opts ?? {} },
  );
}
