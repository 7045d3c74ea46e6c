import type { Cluster } from "ioredis";

/** A range of slots of a Redis Cluster, both ends included, and the master that has it. */
export interface ClusterRange {
  readonly from: number;
  readonly to: number;
  /** The id of the master. */
  readonly master: string;
  /** The address of the master, as `host:port`. */
  readonly address: string;
}

/** Reads the ranges of all masters, in the order of the slots. */
export async function readClusterRanges(cluster: Cluster): Promise<readonly ClusterRange[]> {
  const answer = await cluster.cluster("SLOTS");
  return answer
    .flatMap(([from, to, first]) => {
      if (first === undefined) return [];
      const [host, port, master] = first;
      return [{ from, to, master, address: `${host}:${port}` }];
    })
    .toSorted((a, b) => a.from - b.from);
}
