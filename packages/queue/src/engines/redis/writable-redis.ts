import type { Redis, RedisOptions } from "ioredis";
import { BatchingRedis } from "./batching-redis.ts";
import { endSilentStarts } from "./silent-start.ts";

/** The time for which a refused write lengthens the pause before the next connection. */
const REFUSAL_MEMORY_MS = 10_000;

/**
 * The answers of a server that is no longer the primary, or not yet. The server executed nothing, and the command has to go
 * over another connection, which reaches the new primary after a failover.
 */
const NOT_PRIMARY = /(?:^|-)READONLY|^MASTERDOWN|^LOADING|^UNBLOCKED force/;

/** Returns whether an answer means that its server is not the primary now. */
export function isNotPrimary(error: unknown): boolean {
  return error instanceof Error && NOT_PRIMARY.test(error.message);
}

/** Counts the connections in a row that were closed because their server refused writes, so that the pauses grow. */
export class Refusals {
  #count = 0;
  #at = Number.NEGATIVE_INFINITY;

  get inRow(): number {
    return performance.now() - this.#at > REFUSAL_MEMORY_MS ? 0 : this.#count;
  }

  /** ioredis calls this for each error of the server. With 2 it connects again and repeats the command there. */
  reconnects(error: Error): false | 2 {
    if (!isNotPrimary(error)) return false;
    this.#count = this.inRow + 1;
    this.#at = performance.now();
    return 2;
  }
}

interface Connector {
  check(info: Readonly<Record<string, string | undefined>>): boolean;
}

/**
 * A client that is ready only on a server that accepts writes, and only in the database that its address names. On a
 * read-only replica it connects again until a primary answers, and its commands wait, as for a server that is down. ioredis
 * itself would be ready on a replica, and would use database 0 in place of a database that does not exist.
 */
export class WritableRedis extends BatchingRedis {
  #databaseError: Error | undefined;
  /** The socket that is being closed. Each further refusal on it would ask for another connection. */
  #left: unknown;

  constructor(url: string | RedisOptions, options?: RedisOptions) {
    super(url as string, options as never); // ioredis takes the options alone, too.
    this.on("error", (error: Error & { command?: { name?: string } }) => {
      if (error.command?.name === "select") this.#databaseError = error;
    });
    this.on("close", () => (this.#databaseError = undefined));
    // ioredis passes the answer to INFO to its connector, which is private, and connects again if the result is false.
    const connector: Connector = Reflect.get(this, "connector");
    connector.check = (info) => this.#fits(info);
  }

  /**
   * Opens another client that connects at once. BullMQ duplicates the client for each worker; it would connect a lazy
   * duplicate itself, and keep the failure of the first try for ever.
   */
  override duplicate(override?: RedisOptions): never {
    const client = new WritableRedis({ ...this.options, lazyConnect: false, ...override });
    endSilentStarts(client);
    return client as never;
  }

  #fits({
    role,
    slave_read_only: readOnly,
    master_host: host,
    master_port: port,
  }: Parameters<Connector["check"]>[0]): boolean {
    if (this.#databaseError !== undefined) return false;
    if (role !== "slave" || readOnly === "0") return true;
    this.silentEmit("error", new Error(`READONLY it is a read-only replica of ${host}:${port}`));
    return false;
  }

  override disconnect(reconnect = false): void {
    const stream: Redis["stream"] | undefined = this.stream;
    if (reconnect && stream !== undefined && stream === this.#left) return;
    if (reconnect) this.#left = stream;
    super.disconnect(reconnect);
  }

  /** A command of a transaction must not be repeated by itself: the transaction fails, and is repeated as a whole. */
  override handleReconnection(...args: Parameters<Redis["handleReconnection"]>): void {
    const [error, { command }] = args;
    if ("inTransaction" in command && command.inTransaction === true) command.reject(error);
    else super.handleReconnection(...args);
  }
}
