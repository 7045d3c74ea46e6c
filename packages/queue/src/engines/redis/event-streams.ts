import type { RunEnd } from "../../contract/lane-driver.ts";
import type { RedisClient } from "./redis-client.ts";
import { defineScript } from "./script.ts";
import type { Script } from "./script.ts";

/** The most bytes that the events of one lane take: room for BullMQ's own limit of 10,000 small events. */
const MAX_BYTES = 4_000_000;
/** About the size of an event without its result. */
const EVENT_BYTES = 100;
/** A worker trims the stream when it has added so many bytes. */
const TRIM_AFTER_BYTES = 1_000_000;

/** Removes the oldest half of a stream until the stream is within a bound of bytes. */
const TRIM = `
for _ = 1, 32 do
  local bytes = redis.pcall('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 0)
  if type(bytes) == 'table' then -- Some servers forbid MEMORY, so the size is unknown.
    redis.call('XTRIM', KEYS[1], 'MAXLEN', 100)
    return
  end
  if not bytes or bytes <= tonumber(ARGV[1]) then return end
  redis.call('XTRIM', KEYS[1], 'MAXLEN', math.floor(redis.call('XLEN', KEYS[1]) / 2))
end
`;

/**
 * Bounds BullMQ's streams of events in bytes. BullMQ bounds only their length, at 10,000, and each event of a job's end has
 * the whole result: 300 results of 1 MB stayed while no other event happened in the queue.
 *
 * A QueueEvents that listens receives every event, since Redis serves blocked readers before the next command.
 */
export class EventStreams {
  readonly #trim: Script<unknown>;
  readonly #prefix: string;
  /** The bytes that this process has added to the events of each lane since it last trimmed them. */
  readonly #added = new Map<string, number>();

  constructor(client: RedisClient, prefix: string) {
    this.#prefix = prefix;
    this.#trim = defineScript(client, "taskloomTrimEvents", TRIM, 1);
  }

  /** Counts the bytes that the ends of jobs have added to the events of a lane, and trims the events at times. */
  added(laneName: string, ends: readonly RunEnd[]): void {
    let bytes = this.#added.get(laneName) ?? 0;
    for (const { text } of ends) bytes += text.length + EVENT_BYTES;
    this.#added.set(laneName, bytes);
    if (bytes >= TRIM_AFTER_BYTES) void this.trim(laneName).catch(() => {});
  }

  async trim(laneName: string): Promise<void> {
    this.#added.delete(laneName);
    await this.#trim(`${this.#prefix}:${laneName}:events`, MAX_BYTES);
  }
}
