import type { LaneQueue } from "../../contract/lane-queue.ts";
import type { RedisEngine } from "../redis/redis-engine.ts";

/** Opens a lane of one shard for the time of a function. */
export async function withLane<T>(
  engine: RedisEngine,
  laneName: string,
  use: (lane: LaneQueue) => Promise<T>,
): Promise<T> {
  const lane = engine.openLane(laneName);
  try {
    return await use(lane);
  } finally {
    await lane.close();
  }
}
