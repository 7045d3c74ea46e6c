import type { Redis } from "ioredis";

/**
 * Returns everything below a prefix: the type, the value and whether it expires, without stream ids.
 *
 * @param lastEvents the number of events that are compared, from the last one on.
 */
export async function redisSnapshot(
  client: Redis,
  prefix: string,
  lastEvents: number,
): Promise<Record<string, unknown>> {
  const keys = (await client.keys(`${prefix}:*`)).toSorted();
  const entries = await Promise.all(
    keys.map(async (key) => {
      const [type, ttl] = await Promise.all([client.type(key), client.pttl(key)]);
      const value = await valueOf(client, key, type, lastEvents);
      return [key.slice(prefix.length), { type, expires: ttl >= 0, value }] as const;
    }),
  );
  return Object.fromEntries(entries);
}

async function valueOf(client: Redis, key: string, type: string, lastEvents: number): Promise<unknown> {
  switch (type) {
    case "string":
      return await client.get(key);
    case "hash":
      return Object.fromEntries(Object.entries(await client.hgetall(key)).toSorted());
    case "list":
      return await client.lrange(key, 0, -1);
    case "set":
      return (await client.smembers(key)).toSorted();
    case "zset":
      return await client.zrange(key, "0", "-1", "WITHSCORES");
    case "stream":
      return (await client.xrange(key, "-", "+")).map(([, fields]) => fields.join(" ")).slice(-lastEvents);
    default:
      return type;
  }
}
