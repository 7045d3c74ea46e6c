import { queueOfLaneName } from "../../contract/lane.ts";
import { SERVING_TTL_MS } from "../../contract/serving.ts";
import type { ServingWorker } from "../../contract/serving.ts";
import type { RedisClient } from "./redis-client.ts";

/** The number of keys in one step of a walk through all keys. */
const SCAN_COUNT = 1_000;

interface ServingRecord {
  /** Milliseconds of the epoch. */
  readonly until: number;
  readonly worker: ServingWorker;
}

/**
 * The live workers and the used queues. BullMQ cannot list its queues, and its list of workers is Redis's list of
 * connections, which managed servers forbid and which does not show tasks.
 */
export class ServingKeys {
  readonly #client: RedisClient;
  readonly #workers: string;
  readonly #queues: string;
  readonly #prefix: string;

  constructor(client: RedisClient, prefix: string) {
    this.#client = client;
    this.#prefix = prefix;
    this.#workers = `${prefix}:taskloom-serving`;
    this.#queues = `${prefix}:taskloom-queues`;
  }

  async serve(worker: ServingWorker, now: number): Promise<void> {
    const record: ServingRecord = { until: now + SERVING_TTL_MS, worker };
    await this.#client.hset(this.#workers, worker.id, JSON.stringify(record));
    await this.#client.sadd(this.#queues, ...worker.queues);
  }

  async stop(id: string): Promise<void> {
    await this.#client.hdel(this.#workers, id);
  }

  async all(now: number): Promise<ServingWorker[]> {
    const records = Object.entries(await this.#client.hgetall(this.#workers));
    const live: ServingWorker[] = [];
    const dead: string[] = [];
    for (const [id, text] of records) {
      const { until, worker }: ServingRecord = JSON.parse(text);
      if (until > now) live.push(worker);
      else dead.push(id);
    }
    if (dead.length > 0) await this.#client.hdel(this.#workers, ...dead);
    return live.toSorted((a, b) => a.id.localeCompare(b.id));
  }

  async recordQueue(queue: string): Promise<void> {
    await this.#client.sadd(this.#queues, queue);
  }

  /** Returns all Taskloom queues that were submitted to or served. A database that is older than this list is walked once. */
  async queueNames(): Promise<string[]> {
    const mark = `${this.#prefix}:taskloom-queues-listed`;
    if ((await this.#client.exists(mark)) === 0) {
      for (const name of await this.#walk()) await this.recordQueue(name);
      await this.#client.set(mark, "1");
    }
    return await this.#client.smembers(this.#queues);
  }

  async #walk(): Promise<Set<string>> {
    const found = new Set<string>();
    // BullMQ counts the jobs of each queue under this key, even those whose ids it did not make.
    const nodes = "nodes" in this.#client ? this.#client.nodes("master") : [this.#client];
    for (const node of nodes) {
      let cursor = "0";
      do {
        const [next, keys] = await node.scan(cursor, "MATCH", `${this.#prefix}:*:id`, "COUNT", SCAN_COUNT);
        cursor = next;
        for (const key of keys) {
          const name = queueOfLaneName(key.slice(this.#prefix.length + 1, -":id".length));
          if (name !== undefined) found.add(name);
        }
      } while (cursor !== "0");
    }
    return found;
  }
}
