import type { Queue } from "bullmq";
import { MAX_REMOVED } from "../../contract/engine.ts";
import { DEFAULT_KEEP } from "../../contract/retention.ts";
import type { JobEnd } from "../../contract/retention.ts";
import type { RedisClient } from "./redis-client.ts";

/** The parts of the engine that the retention needs. */
export interface RetentionParts {
  readonly openQueue: (name: string) => Queue;
  /** Removes the data of removed jobs that BullMQ does not know. */
  readonly onRemoved: (laneName: string, ids: readonly string[]) => Promise<void>;
}

/** Keeps each ended job for its own retention, and counts the cancelled ones. */
export class RedisRetention {
  readonly #client: RedisClient;
  readonly #prefix: string;
  readonly #parts: RetentionParts;
  /** The lanes in which expired jobs were found. An open BullMQ queue stays with the connection, so each is opened once. */
  readonly #swept = new Map<string, Queue>();

  constructor(client: RedisClient, prefix: string, parts: RetentionParts) {
    this.#client = client;
    this.#prefix = prefix;
    this.#parts = parts;
  }

  record(laneName: string, { id, wasCancelled, set, until, isByDefault }: JobEnd): void {
    const base = `${this.#prefix}:${laneName}`;
    if (wasCancelled) {
      // Only a count depends on it: if this process dies right now, one job counts as completed.
      this.#client.zadd(`${base}:taskloom-cancelled`, until, id).catch(() => {});
    }
    if (isByDefault) return;
    // BullMQ orders ended jobs by their ends. A job with a longer or shorter retention takes the place of one that ended so
    // much later or earlier, so the jobs that are due are always at the front. The job's record has the time of its end.
    const place = until - DEFAULT_KEEP[set];
    // If this process dies right now, the job keeps the default retention; see keptForCertain.
    this.#client.zadd(`${base}:${set}`, "XX", place, id).catch(() => {});
  }

  async removeExpired(laneName: string, now: number): Promise<void> {
    for (const set of ["completed", "failed"] as const) {
      const before = now - DEFAULT_KEEP[set];
      let due = await this.#client.zcount(`${this.#prefix}:${laneName}:${set}`, "-inf", before);
      if (due === 0) continue; // BullMQ would publish an event even if it removed no job.
      let queue = this.#swept.get(laneName);
      if (queue === undefined) this.#swept.set(laneName, (queue = this.#parts.openQueue(laneName)));
      // Redis does no other work while a command removes jobs, so each removes few.
      for (; due > 0; due -= MAX_REMOVED) {
        const removed = await queue.clean(Date.now() - before, MAX_REMOVED, set);
        if (removed.length > 0) await this.#parts.onRemoved(laneName, removed);
      }
    }
  }

  async countCancelled(laneName: string): Promise<number> {
    const key = `${this.#prefix}:${laneName}:taskloom-cancelled`;
    await this.#client.zremrangebyscore(key, "-inf", Date.now());
    return await this.#client.zcard(key);
  }
}
