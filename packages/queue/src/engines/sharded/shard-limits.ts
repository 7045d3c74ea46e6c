import type { RateLimiterOptions } from "bullmq";

/**
 * Returns the part of a rate limit that one of `count` shards has. The parts add up to the limit, which is stored beside them. If there are fewer starts
 * than shards, each shard has one start in a longer time: `{ max: 1, duration: 1_000 }` on four shards is one start in four
 * seconds on each of them.
 */
export function limitOfShard(
  { max, duration }: RateLimiterOptions,
  shard: number,
  count: number,
): RateLimiterOptions {
  if (max >= count) return { max: Math.floor((max + count - 1 - shard) / count), duration };
  return { max: 1, duration: Math.ceil((duration * count) / max) };
}
