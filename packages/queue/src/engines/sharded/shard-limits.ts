import type { RateLimiterOptions } from "bullmq";
import type { LaneQueue } from "../../contract/lane-queue.ts";
import type { Shards } from "./shards.ts";

/** The part of a lane that one shard has. */
interface LanePart {
  readonly shards: Shards;
  readonly laneName: string;
  readonly lane: LaneQueue;
  readonly shard: number;
  /** The number of shards that the limit is divided by. */
  readonly count: number;
}

/**
 * Returns the part of a rate limit that one of `count` shards has. The parts add up to the limit, which is stored beside
 * them. If there are fewer starts than shards, each shard has one start in a longer time: `{ max: 1, duration: 1_000 }` on
 * four shards is one start in four seconds on each of them.
 */
export function limitOfShard(
  { max, duration }: RateLimiterOptions,
  shard: number,
  count: number,
): RateLimiterOptions {
  if (max >= count) return { max: Math.floor((max + count - 1 - shard) / count), duration };
  return { max: 1, duration: Math.ceil((duration * count) / max) };
}

/** Sets the part of a rate limit that one shard has, and keeps the whole limit beside it. */
export async function setLimitPart(
  limit: RateLimiterOptions,
  { shards, laneName, lane, shard, count }: LanePart,
): Promise<number> {
  const { max, duration } = limitOfShard(limit, shard % count, count);
  await shards.engine(shard).shardRecord().keepLimit(laneName, JSON.stringify(limit));
  return await lane.setGlobalRateLimit(max, duration);
}

/** Returns the limit in a kept text; without a text the limit of the first lane, which the queue had before it had shards. */
export async function wholeLimit(
  text: string | null | undefined,
  ofFirstLane: () => Promise<RateLimiterOptions | null>,
): Promise<RateLimiterOptions | null> {
  return text == null ? await ofFirstLane() : (JSON.parse(text) as RateLimiterOptions);
}
