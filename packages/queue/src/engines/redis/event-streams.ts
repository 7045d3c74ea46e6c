import type { ScriptRunner } from "../../bullmq/end-batches.ts";
import type { RedisClient } from "./redis-client.ts";

/** How many bytes the events of one lane take at most: room for BullMQ's own limit of 10,000 small ones. */
const bytesAtMost = 4_000_000;
/** A worker looks at the stream when it has added so many bytes to it. */
const lookAfter = 1_000_000;

/** Removes the oldest half of a stream until it takes no more than so many bytes. */
const trimScript = `
for _ = 1, 32 do
  local bytes = redis.pcall('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 0)
  if type(bytes) == 'table' then -- Some servers forbid MEMORY, and then nothing is known.
    redis.call('XTRIM', KEYS[1], 'MAXLEN', 100)
    return
  end
  if not bytes or bytes <= tonumber(ARGV[1]) then return end
  redis.call('XTRIM', KEYS[1], 'MAXLEN', math.floor(redis.call('XLEN', KEYS[1]) / 2))
end
`;

/**
 * Bounds BullMQ's streams of events in bytes. BullMQ bounds their length alone, at 10,000, and each event of a job's end
 * carries the whole result: 300 results of 1 MB stayed for as long as nothing else happened in the queue.
 *
 * A QueueEvents that listens receives every event, since Redis serves blocked readers before the next command.
 */
export class EventStreams {
  readonly #client: RedisClient;
  readonly #prefix: string;
  /** The bytes that this process has added to each queue's events since it last looked. */
  readonly #added = new Map<string, number>();

  constructor(client: RedisClient, prefix: string) {
    this.#client = client;
    this.#prefix = prefix;
    client.defineCommand("taskloomTrimEvents", { numberOfKeys: 1, lua: trimScript });
  }

  /** Counts what the ends of a queue's jobs, stored through this backend, add to its events. */
  watch(laneName: string, backend: ScriptRunner): void {
    const run = backend.execCommand.bind(backend);
    backend.execCommand = async (client, name, args) => {
      const result = await run(client, name, args);
      if (name === "moveToFinished") this.#add(laneName, args);
      return result;
    };
  }

  #add(laneName: string, args: Parameters<ScriptRunner["execCommand"]>[2]): void {
    let bytes = this.#added.get(laneName) ?? 0;
    // The result or the reason is by far the longest.
    for (const arg of args) if (typeof arg === "string" || Buffer.isBuffer(arg)) bytes += arg.length;
    this.#added.set(laneName, bytes);
    if (bytes >= lookAfter) void this.trim(laneName).catch(() => {});
  }

  async trim(laneName: string): Promise<void> {
    this.#added.delete(laneName);
    const client = this.#client as unknown as {
      taskloomTrimEvents(key: string, bytes: number): Promise<unknown>;
    };
    await client.taskloomTrimEvents(`${this.#prefix}:${laneName}:events`, bytesAtMost);
  }
}
