import type { RedisClient } from "./redis-client.ts";

interface QueuedCommand {
  readonly inTransaction?: boolean;
  readonly pipelineIndex?: number;
  /** The bytes that go over the wire. A script's command is `EVAL` where it finds the script new to the given object. */
  toWritable(loadedOn: object): string | Buffer;
}

/**
 * Has each transaction of a client bring the scripts that it runs: the first use of a script in a transaction is `EVAL`,
 * the others are `EVALSHA`. Nobody can remove a script from Redis in between.
 *
 * ioredis remembers for each socket which scripts it has sent, and forgets that at the answer `NOSCRIPT` to a command.
 * Within a transaction that answer comes with `EXEC` and reaches no command, so after a `SCRIPT FLUSH` every further
 * transaction of the connection would fail, or be executed in part. Redis 7.4 also removes scripts by itself.
 */
export function bringScripts(client: RedisClient): void {
  const send = client.sendCommand.bind(client) as (command: QueuedCommand, ...rest: unknown[]) => never;
  let transaction: object = {};
  client.sendCommand = ((command: QueuedCommand, ...rest: unknown[]) => {
    if (command.pipelineIndex === 0) transaction = {};
    if (command.inTransaction === true) {
      const loadedOn = transaction;
      const toWritable = command.toWritable.bind(command);
      command.toWritable = () => toWritable(loadedOn);
    }
    return send(command, ...rest);
  }) as never;
}
