/** One shard as an operator sees it. */
export interface ShardReport {
  readonly shard: number;
  /** The server of the shard, or its hash tag with the master that has its slot. */
  readonly place: string;
  /** `draining` for a shard that receives no new jobs; `down` for one that does not answer. */
  readonly state: "open" | "draining" | "down";
  /** The number of jobs that have not ended. */
  readonly open: number;
  /** The number of jobs and schedules that an earlier layout has stored here. */
  readonly left: number;
}

/** The shards of all queues at an engine. */
export interface ShardsReport {
  readonly count: number;
  /** The earlier numbers of shards that still have jobs. */
  readonly earlier: readonly number[];
  readonly shards: readonly ShardReport[];
  /** The number of jobs and schedules of earlier layouts; 0 when a change is complete. */
  readonly left: number;
}

/** The shards of an engine, for the operator who changes them. */
export interface ShardAdmin extends AsyncDisposable {
  /** The address without its password. */
  readonly url: string;
  /** Reads the shards, and ends a change of which no job is left. */
  read(): Promise<ShardsReport>;
  /**
   * Sets the number of shards. New jobs go to the new layout at once, and the shards of the earlier layout drain. Running
   * workers and clients follow; new ones need the new address.
   *
   * @throws {@link TaskOptionsError} for a number that is none; {@link EngineUrlError} if the address names too few servers;
   *   {@link ShardsDifferError} if a server has another queue's shards, or if workers run that cannot follow;
   *   {@link ShardDownError} if a shard does not answer.
   */
  set(count: number): Promise<ShardsReport>;
  close(): Promise<void>;
}
