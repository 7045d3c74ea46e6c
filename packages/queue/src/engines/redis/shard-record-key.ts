import { ShardsDifferError } from "../../errors.ts";
import type { RedisClient } from "./redis-client.ts";

/** The record of a queue's shards, which is stored as a JSON text beside the jobs. */
export class ShardRecordKey {
  readonly #client: RedisClient;
  readonly #key: string;

  constructor(client: RedisClient, prefix: string) {
    this.#client = client;
    this.#key = `${prefix}:taskloom-shards`;
  }

  /** Reads the record; null if none is stored. */
  async read(): Promise<string | null> {
    return await this.#client.get(this.#key);
  }

  /** Stores the first record, and returns whether there was none before. */
  async begin(text: string): Promise<boolean> {
    return (await this.#client.set(this.#key, text, "NX")) === "OK";
  }

  async write(text: string): Promise<void> {
    await this.#client.set(this.#key, text);
  }

  async remove(): Promise<void> {
    await this.#client.del(this.#key);
  }

  /** Keeps a schedule that moves to this shard, while no lane has it. */
  async keepMoving(name: string, text: string): Promise<void> {
    await this.#client.hset(`${this.#key}-moving`, name, text);
  }

  /** Reads the schedules that move to this shard. */
  async moving(): Promise<Readonly<Record<string, string>>> {
    return await this.#client.hgetall(`${this.#key}-moving`);
  }

  /** Keeps the rate limit of a lane of which this shard has a part; undefined removes it. */
  async keepLimit(laneName: string, text: string | undefined): Promise<void> {
    const key = `${this.#key}-limits`;
    await (text === undefined ? this.#client.hdel(key, laneName) : this.#client.hset(key, laneName, text));
  }

  /** Reads the rate limit of a lane of which this shard has a part; null without one. */
  async limit(laneName: string): Promise<string | null> {
    return await this.#client.hget(`${this.#key}-limits`, laneName);
  }

  async hasMoved(name: string): Promise<void> {
    await this.#client.hdel(`${this.#key}-moving`, name);
  }
}

/**
 * Rejects the address of one shard as the address of a whole queue: its jobs would be seen by nobody else.
 *
 * @throws {@link ShardsDifferError} if the queue has several shards.
 */
export async function refuseShards(record: ShardRecordKey, url: string): Promise<void> {
  const text = await record.read();
  if (text === null) return;
  const { count, index, earlier } = JSON.parse(text) as {
    readonly count: number;
    readonly index: number;
    readonly earlier: readonly unknown[];
  };
  if (count === 1 && index === 0 && earlier.length === 0) return;
  throw new ShardsDifferError(
    `${url} is shard ${index} of a queue with ${count} shards; use the address of all of them, or make it one shard again by: taskloom shards --set 1`,
  );
}
