import type { RedisClient } from "./redis-client.ts";

/** A Lua script at a client. It takes the keys, and then the values. */
export type Script<Answer> = (...args: readonly (string | number)[]) => Promise<Answer>;

/**
 * Registers a Lua script at a client, and returns the function that runs it. Without `numberOfKeys` the first argument of
 * each call is the number of keys.
 */
export function defineScript<Answer>(
  client: RedisClient,
  name: string,
  lua: string,
  numberOfKeys?: number,
): Script<Answer> {
  client.defineCommand(name, numberOfKeys === undefined ? { lua } : { lua, numberOfKeys });
  // ioredis adds a method that the type of the client does not have.
  const run: Script<Answer> = Reflect.get(client, name);
  return run.bind(client);
}
