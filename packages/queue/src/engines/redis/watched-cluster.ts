import { Cluster } from "ioredis";
import type { ClusterNode, ClusterOptions } from "ioredis";
import { endSilentStarts } from "./silent-start.ts";

type Options = NonNullable<ConstructorParameters<typeof Cluster<"legacy">>[1]>;

/** A client of a Redis Cluster. Its duplicates connect to a node again if the node's new connection is silent. */
export class WatchedCluster extends Cluster<"legacy"> {
  readonly #nodes: ClusterNode[];

  constructor(nodes: ClusterNode[], options: Options) {
    super(nodes, options);
    this.#nodes = nodes;
  }

  override duplicate(nodes: ClusterNode[] = [], options: ClusterOptions = {}): never {
    const cluster = new WatchedCluster(nodes.length > 0 ? nodes : this.#nodes, {
      ...this.options,
      ...options,
      redisOptions: { ...this.options.redisOptions, ...options.redisOptions },
    } as Options);
    cluster.on("+node", endSilentStarts);
    return cluster as never; // ioredis types the result by its options, which are the same.
  }
}
