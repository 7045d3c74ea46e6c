import type { KeptSubmission } from "../../contract/stored-job.ts";
import { parsedOr } from "./readable-jobs.ts";
import type { RedisClient } from "./redis-client.ts";

/** Deletes what is kept if it is that submission: a later one may have taken its place. */
const dropScript = "return redis.call('HGET', KEYS[1], 'jid') == ARGV[1] and redis.call('DEL', KEYS[1]) or 0";

/** BullMQ's hash of what is kept for a deduplication key. */
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
  return (await client.eval(dropScript, 1, keyOf(base, key), id)) === 1;
}

/** Another BullMQ client can have kept anything. */
function replyIn(data: string | null | undefined): string | undefined {
  const kept = parsedOr(undefined, data) as { readonly reply?: unknown } | null | undefined;
  return typeof kept?.reply === "string" ? kept.reply : undefined;
}
