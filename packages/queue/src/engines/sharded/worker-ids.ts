/**
 * Returns the id of a worker's consumer on one shard. The tokens of its locks begin with it, so a token shows the shard of
 * the job.
 */
export function workerOnShard(worker: string, shard: number): string {
  return `${worker}~${shard}`;
}

/** Returns the id of the worker of a consumer. */
export function workerOf(consumer: string): string {
  return consumer.replace(/~\d+$/, "");
}

/** Returns the shard of a consumer, or of a token of its locks; undefined for any other one. */
export function shardOfWorker(idOrToken: string): number | undefined {
  const shard = /~(\d+)(?::\d+)?$/.exec(idOrToken)?.[1];
  return shard === undefined ? undefined : Number(shard);
}
