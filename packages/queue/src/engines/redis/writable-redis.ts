import type { Redis, RedisOptions } from "ioredis";
import { BatchingRedis } from "./batching-redis.ts";

/** How long a refused write counts for the pause before the next connection; milliseconds. */
const countsFor = 10_000;

/**
 * The answers of a server that stopped to be the primary, or is not yet one again. It executed nothing: the command
 * belongs on another connection, which a failover leads to the new primary.
 */
const notPrimary = /(?:^|-)READONLY|^MASTERDOWN|^LOADING|^UNBLOCKED force/;

/** Whether an answer says that its server is no primary at the moment. */
export function isNotPrimary(error: unknown): boolean {
  return error instanceof Error && notPrimary.test(error.message);
}

/** Counts the connections in a row that were given up since their server refuses writes, so that pauses grow. */
export class Refusals {
  #count = 0;
  #at = Number.NEGATIVE_INFINITY;

  get inRow(): number {
    return performance.now() - this.#at > countsFor ? 0 : this.#count;
  }

  /** ioredis asks this for each answer that is an error: 2 has it connect again, and send the command there. */
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

/** The parts of ioredis that its types keep to themselves. */
interface Internals {
  readonly connector: Connector;
}

/**
 * A client that is ready only where it can do its work: on a server that accepts writes, in the database that its
 * address names. On a read-only replica it connects again until a primary answers, and its commands wait, as they do
 * for a server that is down. ioredis itself would be ready on a replica, and would use database 0 in place of one that
 * does not exist.
 */
export class WritableRedis extends BatchingRedis {
  #databaseError: Error | undefined;
  /** The socket that is given up already: each of the answers on it asks for another connection. */
  #left: unknown;

  constructor(url: string | RedisOptions, options?: RedisOptions) {
    super(url as string, options as never); // ioredis takes the options alone, too.
    this.on("error", (error: Error & { command?: { name?: string } }) => {
      if (error.command?.name === "select") this.#databaseError = error;
    });
    this.on("close", () => (this.#databaseError = undefined));
    // ioredis asks its connector, with what INFO told, and connects again when the answer is no.
    (this as unknown as Internals).connector.check = (info) => this.#fits(info);
  }

  override duplicate(override?: RedisOptions): never {
    return new WritableRedis({ ...this.options, ...override }) as never;
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
    const { stream } = this as { stream?: unknown };
    if (reconnect && stream !== undefined && stream === this.#left) return;
    if (reconnect) this.#left = stream;
    super.disconnect(reconnect);
  }

  /** A part of a transaction must not be sent by itself: its transaction fails, and is repeated as a whole. */
  override handleReconnection(...args: Parameters<Redis["handleReconnection"]>): void {
    const [error, { command }] = args;
    if ((command as { inTransaction?: boolean }).inTransaction === true) command.reject(error);
    else super.handleReconnection(...args);
  }
}
