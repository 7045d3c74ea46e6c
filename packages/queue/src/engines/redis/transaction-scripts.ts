import type { RedisClient } from "./redis-client.ts";

interface QueuedCommand {
  readonly inTransaction?: boolean;
  readonly pipelineIndex?: number;
  /** Returns the bytes for the socket. A script's command is `EVAL` if the script is new to the given object. */
  toWritable(loadedOn: object): string | Buffer;
}

/**
 * Makes each transaction of a client carry the scripts that it runs: the first use of a script in a transaction is `EVAL`,
 * the others are `EVALSHA`. No client can remove a script from Redis in between.
 *
 * ioredis records for each socket the scripts that it has sent, and clears the record at the answer `NOSCRIPT` to a command.
 * In a transaction that answer comes with `EXEC` and reaches no command, so after a `SCRIPT FLUSH` every further transaction
 * of the connection would fail, or be executed in part. Redis 7.4 also removes scripts by itself.
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
