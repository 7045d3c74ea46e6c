import type { KeptSubmission } from "../../contract/stored-job.ts";
import { parsedOr } from "./readable-jobs.ts";
import type { RedisClient } from "./redis-client.ts";

/** Deletes the kept submission if it has this id. A later one may have taken its place. */
const DROP = "return redis.call('HGET', KEYS[1], 'jid') == ARGV[1] and redis.call('DEL', KEYS[1]) or 0";

/** BullMQ's hash of the submission that is kept for a deduplication key. */
const keyOf = (base: string, key: string): string => `${base}:dn:${key}`;

/** {@link Engine.findKept} on BullMQ's keys below `base`. */
export async function findKept(
  client: RedisClient,
  base: string,
  key: string,
): Promise<KeptSubmission | undefined> {
  const [id, data] = await client.hmget(keyOf(base, key), "jid", "data");
  if (id == null) return undefined;
  return { id, reply: replyIn(data) };
}

/** {@link Engine.dropKept} on BullMQ's keys below `base`. */
export async function dropKept(client: RedisClient, base: string, key: string, id: string): Promise<boolean> {
  return (await client.eval(DROP, 1, keyOf(base, key), id)) === 1;
}

/** Another client of BullMQ can have kept any data. */
function replyIn(data: string | null | undefined): string | undefined {
  const kept = parsedOr(undefined, data);
  if (typeof kept !== "object" || kept === null || !("reply" in kept)) return undefined;
  return typeof kept.reply === "string" ? kept.reply : undefined;
}
