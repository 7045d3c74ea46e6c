import { HISTORY_LENGTHS, bucketOf, bucketsOf } from "../../contract/history.ts";
import type { HistoryBucket, HistoryEntry, HistoryRange } from "../../contract/history.ts";
import type { RedisClient } from "./redis-client.ts";
import { defineScript } from "./script.ts";
import type { Script } from "./script.ts";

/**
 * Adds figures to buckets, in one step. The keys are the buckets. The arguments are the time for which each is kept, then
 * the number of sums, and then a field and a value for each figure, the sums first.
 */
const ADD = `
for k, key in ipairs(KEYS) do
  local sums = tonumber(ARGV[#KEYS + 1])
  for i = #KEYS + 2, #ARGV, 2 do
    local field, value = ARGV[i], tonumber(ARGV[i + 1])
    if sums > 0 then
      redis.call('HINCRBY', key, field, value)
      sums = sums - 1
    elseif value > tonumber(redis.call('HGET', key, field) or -1) then
      redis.call('HSET', key, field, value)
    end
  end
  redis.call('PEXPIRE', key, ARGV[k])
end
`;

/** The buckets that one round trip reads. */
const READ_AT_ONCE = 200;

/** The history of the queues. Each bucket is a hash of its own, which Redis removes when its time is over. */
export class HistoryKeys {
  readonly #client: RedisClient;
  readonly #prefix: string;
  readonly #add: Script<null>;

  constructor(client: RedisClient, prefix: string) {
    this.#client = client;
    this.#prefix = `${prefix}:taskloom-history`;
    this.#add = defineScript(client, "taskloomAddHistory", ADD);
  }

  #key(length: number, start: number): string {
    return `${this.#prefix}:${length}:${start}`;
  }

  async add(entries: readonly HistoryEntry[], now: number): Promise<void> {
    const keys = HISTORY_LENGTHS.map(({ length }) => this.#key(length, bucketOf(now, length)));
    // The name of a figure has no colon, and the name of a queue may have one.
    const fields = (of: "sums" | "peaks"): (string | number)[] =>
      entries.flatMap(({ queue, [of]: figures }) =>
        Object.entries(figures).flatMap(([name, value]) => [`${name}:${queue}`, value]),
      );
    const sums = fields("sums");
    const keeps = HISTORY_LENGTHS.map(({ keep }) => keep);
    await this.#add(keys.length, ...keys, ...keeps, sums.length / 2, ...sums, ...fields("peaks"));
  }

  async read({ length, from, to }: HistoryRange): Promise<HistoryBucket[]> {
    const starts: number[] = [];
    for (let start = bucketOf(from, length); start <= to; start += length) starts.push(start);
    const rows: { start: number; queue: string; name: string; value: number }[] = [];
    for (let at = 0; at < starts.length; at += READ_AT_ONCE) {
      const some = starts.slice(at, at + READ_AT_ONCE);
      const pipeline = this.#client.pipeline();
      for (const start of some) pipeline.hgetall(this.#key(length, start));
      for (const [index, [error, fields]] of ((await pipeline.exec()) ?? []).entries()) {
        if (error !== null) throw error;
        for (const [field, value] of Object.entries(fields as Record<string, string>)) {
          const colon = field.indexOf(":");
          const [name, queue] = [field.slice(0, colon), field.slice(colon + 1)];
          rows.push({ start: some[index]!, queue, name, value: Number(value) });
        }
      }
    }
    return bucketsOf(rows);
  }
}
