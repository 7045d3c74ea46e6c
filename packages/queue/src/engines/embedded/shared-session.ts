import { type PostgresSession, StatementError } from "./postgres-session.ts";
import { NO_CLIENT, type Parameter, type StatementResult } from "./thread-messages.ts";

/** Between two rounds of upkeep: about 1,500 jobs. */
const STATEMENTS_BETWEEN_UPKEEP = 6000;

interface Waiting {
  client: number;
  text: string;
  parameters: Parameter[] | undefined;
  settle: (outcome: StatementResult[] | Error) => void;
}

/**
 * Gives many clients the one session that there is.
 *
 * Statements run in the order they came. A client whose statement leaves a transaction open owns the session until
 * that transaction ends; what the others send waits. LISTEN is done once a channel and fanned out. What a client
 * sets with SET holds for all: nothing of BullMQ's does that outside a transaction.
 */
export class SharedSession {
  #session: PostgresSession;
  #notify: (client: number, channel: string, payload: string) => void;
  #owner: number | undefined;
  /** The owner's statements, or everybody's while there is no owner. */
  #runnable: Waiting[] = [];
  /** What came from others since there is an owner. */
  #held: Waiting[] = [];
  #listeners = new Map<string, Set<number>>();
  #untilUpkeep = STATEMENTS_BETWEEN_UPKEEP;

  constructor(session: PostgresSession, notify: (client: number, channel: string, payload: string) => void) {
    this.#session = session;
    this.#notify = notify;
    session.onNotification = (channel, payload) => {
      for (const client of this.#listeners.get(channel) ?? []) this.#notify(client, channel, payload);
    };
  }

  submit(waiting: Waiting): void {
    const holds = this.#owner !== undefined && this.#owner !== waiting.client;
    (holds ? this.#held : this.#runnable).push(waiting);
  }

  /** Runs all that can run now. Throws a SessionLostError when the session is gone. */
  run(): void {
    let next: Waiting | undefined;
    while ((next = this.#runnable.shift()) !== undefined) this.#runOne(next);
    if (this.#untilUpkeep <= 0 && this.#owner === undefined) this.#upkeep();
  }

  /** The client is done: an open transaction of its own is rolled back, and it hears no more. */
  release(client: number): void {
    for (const channel of this.#listeners.keys()) this.#unlisten(client, channel);
    if (this.#owner !== client) return;
    this.#session.execute("ROLLBACK");
    this.#passOn();
  }

  /** Runs all that was submitted; a transaction that is open is rolled back, for it cannot be ended any more. */
  finish(): void {
    this.run();
    while (this.#owner !== undefined) {
      this.release(this.#owner);
      this.run();
    }
  }

  #runOne(statement: Waiting): void {
    const { client, text, parameters, settle } = statement;
    this.#untilUpkeep -= 1;
    let outcome: StatementResult[] | Error;
    try {
      outcome = this.#execute(client, text, parameters);
    } catch (error) {
      if (!(error instanceof StatementError)) throw error;
      outcome = error;
    }
    if (this.#session.status === "I") {
      if (this.#owner !== undefined) this.#passOn();
    } else if (client === NO_CLIENT) {
      this.#session.execute("ROLLBACK");
      outcome = new StatementError(
        "A transaction needs a client of its own: use pool.connect(), and client.release() at its end.",
        { severity: "ERROR", code: "25001" },
      );
    } else if (this.#owner === undefined) {
      this.#owner = client;
      this.#held = this.#runnable.filter((other) => other.client !== client);
      this.#runnable = this.#runnable.filter((other) => other.client === client);
    }
    settle(outcome);
  }

  #passOn(): void {
    this.#owner = undefined;
    // What the last owner sent after its transaction's end came later than most of what was held.
    this.#runnable = this.#held.concat(this.#runnable);
    this.#held = [];
  }

  #execute(client: number, text: string, parameters: Parameter[] | undefined): StatementResult[] {
    const subscription = parameters === undefined ? parseSubscription(text) : undefined;
    if (subscription === undefined) return this.#session.execute(text, parameters);
    const { command, channel } = subscription;
    if (command === "LISTEN") {
      if (client === NO_CLIENT) {
        throw new StatementError("LISTEN needs a client of its own: use pool.connect().", {
          severity: "ERROR",
          code: "25001",
        });
      }
      const results = this.#session.execute(text);
      const listeners = this.#listeners.get(channel) ?? new Set();
      this.#listeners.set(channel, listeners.add(client));
      return results;
    }
    const channels = channel === "*" ? this.#listeners.keys() : [channel];
    for (const each of channels) this.#unlisten(client, each);
    return [{ command, slot: undefined, fields: [], rows: [] }];
  }

  #unlisten(client: number, channel: string): void {
    const listeners = this.#listeners.get(channel);
    if (listeners === undefined || !listeners.delete(client) || listeners.size > 0) return;
    this.#listeners.delete(channel);
    // In a failed transaction this would fail; the channel then stays subscribed, and nobody is told.
    if (this.#session.status !== "E") this.#session.execute(`UNLISTEN "${channel.replaceAll('"', '""')}"`);
  }

  /**
   * PGlite runs PostgreSQL in single-user mode, which has no autovacuum and no checkpointer: without this the
   * tables and the write-ahead log grow for as long as the process lives.
   */
  #upkeep(): void {
    this.#untilUpkeep = STATEMENTS_BETWEEN_UPKEEP;
    try {
      for (const step of ["VACUUM (ANALYZE) job, event, meta", "CHECKPOINT"]) this.#session.execute(step);
    } catch (error) {
      // The next round comes; a statement that matters reports what is wrong with the disk.
      if (!(error instanceof StatementError)) throw error;
    }
  }
}

/** LISTEN or UNLISTEN, alone in its text but for comments. */
export function parseSubscription(
  text: string,
): { command: "LISTEN" | "UNLISTEN"; channel: string } | undefined {
  const bare = text.replaceAll(/--[^\n]*|\/\*[^]*?\*\//g, " ");
  const match = /^\s*(LISTEN|UNLISTEN)\s+(?:"((?:[^"]|"")+)"|(\w+|\*))\s*;?\s*$/i.exec(bare);
  if (match === null) return undefined;
  const [, command, quoted, plain] = match;
  return {
    command: command?.toUpperCase() === "LISTEN" ? "LISTEN" : "UNLISTEN",
    channel: quoted?.replaceAll('""', '"') ?? plain?.toLowerCase() ?? "",
  };
}
