import { Cluster } from "ioredis";
import { endSilentStarts } from "./silent-start.ts";

/** A client of a Redis Cluster. Its duplicates are those of {@link WritableRedis}. */
export class WatchedCluster extends Cluster<"legacy"> {
  override duplicate(...[nodes, options]: Parameters<Cluster<"legacy">["duplicate"]>): never {
    const cluster = super.duplicate(nodes, { lazyConnect: false, ...options });
    cluster.on("+node", endSilentStarts);
    return cluster as never; // ioredis types the result by its options, which are the same.
  }
}
