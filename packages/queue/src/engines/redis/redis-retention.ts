import type { Queue } from "bullmq";
import { DEFAULT_KEEP } from "../../contract/retention.ts";
import type { JobEnd } from "../../contract/retention.ts";
import type { RedisClient } from "./redis-client.ts";

/** So many jobs that were kept for long enough go in one command. */
const forgottenAtOnce = 1_000;

/** Keeps each ended job for its own time, and counts those that were cancelled. */
export class RedisRetention {
  readonly #client: RedisClient;
  readonly #prefix: string;
  readonly #openQueue: (name: string) => Queue;
  /** The queues that {@link forget} has found something in: each that is opened stays with the connection. */
  readonly #swept = new Map<string, Queue>();

  constructor(client: RedisClient, prefix: string, openQueue: (name: string) => Queue) {
    this.#client = client;
    this.#prefix = prefix;
    this.#openQueue = openQueue;
  }

  note(laneName: string, { id, wasCancelled, set, until, isByDefault }: JobEnd): void {
    const base = `${this.#prefix}:${laneName}`;
    if (wasCancelled) {
      // Only a count depends on it; a worker that dies right now leaves one job counted as completed.
      this.#client.zadd(`${base}:taskloom-cancelled`, until, id).catch(() => {});
    }
    if (isByDefault) return;
    // BullMQ orders what has ended by when it ended. One that is kept for longer or shorter takes the place of one that
    // ended so much later or earlier, so that who is due is always at the front; the job itself tells when it ended.
    const place = until - DEFAULT_KEEP[set];
    // A process that dies right now leaves the job with the default; see keptForCertain.
    this.#client.zadd(`${base}:${set}`, "XX", place, id).catch(() => {});
  }

  async forget(laneName: string, now: number): Promise<void> {
    for (const set of ["completed", "failed"] as const) {
      const before = now - DEFAULT_KEEP[set];
      let due = await this.#client.zcount(`${this.#prefix}:${laneName}:${set}`, "-inf", before);
      if (due === 0) continue; // BullMQ would tell all who listen that it has removed nothing.
      let queue = this.#swept.get(laneName);
      if (queue === undefined) this.#swept.set(laneName, (queue = this.#openQueue(laneName)));
      // Not many at once: Redis does nothing else meanwhile.
      for (; due > 0; due -= forgottenAtOnce) await queue.clean(Date.now() - before, forgottenAtOnce, set);
    }
  }

  async countCancelled(laneName: string): Promise<number> {
    const key = `${this.#prefix}:${laneName}:taskloom-cancelled`;
    await this.#client.zremrangebyscore(key, "-inf", Date.now());
    return await this.#client.zcard(key);
  }
}
