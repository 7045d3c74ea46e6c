import { shardOfHash } from "../../contract/shard-id.ts";
import type { ShardPlace } from "../../contract/shard-id.ts";

/**
 * The layout of a queue's shards, as it is stored on every shard.
 *
 * A change of the number of shards keeps the earlier numbers until no job is stored by them any more. Ids that are hashed go
 * to the new layout from `keysFrom` on, which is later than the time by which every client has read the new layout: one id
 * or key is never added by two layouts at once. Ids that name a shard go to the new layout at once.
 */
export interface ShardLayout {
  /** Grows with each change. */
  readonly epoch: number;
  readonly count: number;
  /** The earlier numbers of shards that still have jobs, the latest first. */
  readonly earlier: readonly number[];
  /** The time from which hashed ids go to this layout, in milliseconds of the engine's clock. */
  readonly keysFrom: number;
  /** The place of each shard, those of earlier layouts too: a server as `host:port`, or the hash tag of a cluster's slot. */
  readonly places: readonly string[];
}

/** The time for which a client may add hashed ids without reading the layout again, in milliseconds. */
export const LAYOUT_LEASE_MS = 10_000;

/** Returns the number of all shards, including those that only drain. */
export function allShards({ count, earlier }: Pick<ShardLayout, "count" | "earlier">): number {
  return Math.max(count, ...earlier);
}

/**
 * Returns the shards that can have the job of a place, the one that takes new jobs first. There are several only while
 * earlier layouts drain.
 */
export function candidatesOf(place: ShardPlace, layout: ShardLayout, now: number): readonly number[] {
  // A shard that was removed has no jobs any more. Its jobs are missing on any other one.
  if (place.kind === "named") return [place.shard < allShards(layout) ? place.shard : 0];
  if (place.kind === "foreign") return Array.from({ length: allShards(layout) }, (_, shard) => shard);
  if (layout.earlier.length === 0) return [shardOfHash(place.hash, layout.count)];
  const [latest, ...others] = layout.earlier;
  const counts =
    now < layout.keysFrom ? [latest!, layout.count, ...others] : [layout.count, latest!, ...others];
  return [...new Set(counts.map((count) => shardOfHash(place.hash, count)))];
}

/** Returns the text of the layout for one of its shards. */
export function layoutText(layout: ShardLayout, index: number): string {
  return JSON.stringify({ ...layout, index });
}

/** Returns the layout in a stored text, and the shard that has the text. */
export function parseLayout(text: string): ShardLayout & { readonly index: number } {
  return JSON.parse(text) as ShardLayout & { readonly index: number };
}
