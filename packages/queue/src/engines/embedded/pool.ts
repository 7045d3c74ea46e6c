import { EventEmitter } from "node:events";
import pg, { types } from "pg";
import type { DatabaseThread } from "./database-thread.ts";

import { type FieldDescription, NO_CLIENT, type Parameter, type StatementResult } from "./thread-messages.ts";

/** A statement, as `pg` takes it. */
export interface PgStatement {
  text: string;
  values?: readonly unknown[];
  rowMode?: "array";
}

/** What a statement gives: `pg`'s Result. */
export interface PgResult<R = Record<string, unknown>> {
  command: string;
  rowCount: number | null;
  rows: R[];
  fields: FieldDescription[];
}

type Parse = (text: string) => unknown;

/** `pg`'s parsers by the number of a type, which its types limit to the builtin ones. */
const getTypeParser = types.getTypeParser as unknown as (type: number, format: "text") => Parse;

interface Shape {
  fields: FieldDescription[];
  parsers: Parse[];
}

/**
 * Turns what the thread sends into results with the values that `pg` would give: the conversions are `pg`'s own,
 * so a type parser that a program sets there holds here too.
 */
class ResultReader {
  /** By slot of the prepared statement. */
  #shapes = new Map<number, Shape>();

  read<R>(results: StatementResult[], rowMode: "array" | undefined): PgResult<R> {
    const read = results.map((result) => this.#readOne<R>(result, rowMode));
    // As in pg: the results of several statements are an array, which nobody's type says.
    return (read.length === 1 ? read[0] : read) as PgResult<R>;
  }

  #readOne<R>(result: StatementResult, rowMode: "array" | undefined): PgResult<R> {
    const { fields, parsers } = this.#shape(result);
    const rows = result.rows.map((row) => {
      const values = row.map((text, column) => (text === null ? null : parsers[column]?.(text)));
      if (rowMode === "array") return values;
      const record: Record<string, unknown> = {};
      for (const [column, value] of values.entries()) record[fields[column]?.name ?? column] = value;
      return record;
    });
    // "SELECT 3", "INSERT 0 1" (the 0 is an object id of old), "CREATE TABLE".
    const [, command = "", first, second] = /^([A-Z]+)(?: (\d+))?(?: (\d+))?/.exec(result.command) ?? [];
    const count = second ?? first;
    return { command, rowCount: count === undefined ? null : Number(count), rows: rows as R[], fields };
  }

  #shape({ slot, fields }: StatementResult): Shape {
    if (fields === undefined) {
      const known = slot === undefined ? undefined : this.#shapes.get(slot);
      if (known === undefined) throw new Error(`The fields of statement ${slot} were never sent.`);
      return known;
    }
    const parsers = fields.map((field) => getTypeParser(field.dataTypeID, "text"));
    const shape = { fields, parsers };
    if (slot !== undefined) this.#shapes.set(slot, shape);
    return shape;
  }
}

/** `pg`'s own conversion, which it exports untyped. */
const { prepareValue } = (
  pg as unknown as { utils: { prepareValue: (value: unknown) => string | Uint8Array | null } }
).utils;

function toParameter(value: unknown): Parameter {
  const prepared = prepareValue(value);
  // Copied: what is cloned of a view is all of the memory below it.
  return prepared instanceof Uint8Array ? new Uint8Array(prepared) : prepared;
}

/** One a thread: everything that runs statements there shares what is known of them. */
export class StatementRunner {
  readonly thread: DatabaseThread;
  #reader = new ResultReader();

  constructor(thread: DatabaseThread) {
    this.thread = thread;
  }

  async run<R>(
    client: number,
    statement: string | PgStatement,
    values?: readonly unknown[],
  ): Promise<PgResult<R>> {
    const { text, values: own, rowMode } = typeof statement === "string" ? { text: statement } : statement;
    const given = values ?? own;
    // As in pg: without parameters it is a simple query, which may hold several statements.
    const parameters = given === undefined || given.length === 0 ? undefined : given.map(toParameter);
    const results = await this.thread.query(client, text, parameters);
    return this.#reader.read<R>(results, rowMode);
  }
}

/** One client of an {@link EmbeddedPool}: its transactions and its LISTENs are its own. */
export class EmbeddedClient extends EventEmitter {
  #runner: StatementRunner;
  #client: number;
  #released: (client: EmbeddedClient) => void;
  #isReleased = false;

  constructor(runner: StatementRunner, released: (client: EmbeddedClient) => void) {
    super();
    this.#runner = runner;
    this.#released = released;
    this.#client = runner.thread.newClient((channel, payload) =>
      this.emit("notification", { channel, payload, processId: process.pid, name: "notification" }),
    );
  }

  query<R = Record<string, unknown>>(
    statement: string | PgStatement,
    values?: readonly unknown[],
  ): Promise<PgResult<R>> {
    if (this.#isReleased) return Promise.reject(new Error("This client was released: connect() another."));
    return this.#runner.run<R>(this.#client, statement, values);
  }

  /** Gives the client back. A transaction that is still open is rolled back, and the client hears no more. */
  release(_destroy?: boolean | Error): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#runner.thread.releaseClient(this.#client);
    this.#released(this);
  }
}

/**
 * What BullMQ takes for a `pg.Pool`: promises only, no callbacks.
 *
 * There is one session below, so clients cost nothing and there can be any number; one that holds a transaction
 * open makes all others wait.
 */
export class EmbeddedPool extends EventEmitter {
  /** As `pg.Pool`'s. BullMQ asks for `keepAlive` to know that it is told of a connection that is lost. */
  readonly options: { max: number; keepAlive: boolean } = { max: 100, keepAlive: true };

  #runner: StatementRunner;
  #clients = new Set<EmbeddedClient>();
  #isEnded = false;

  constructor(runner: StatementRunner) {
    super();
    // Each Queue and Worker that shares the pool adds one.
    this.setMaxListeners(0);
    this.#runner = runner;
  }

  async connect(): Promise<EmbeddedClient> {
    this.#check();
    const { thread } = this.#runner;
    if (thread.ended !== undefined) await thread.refuse();
    const client = new EmbeddedClient(this.#runner, (released) => this.#clients.delete(released));
    this.#clients.add(client);
    return client;
  }

  async query<R = Record<string, unknown>>(
    statement: string | PgStatement,
    values?: readonly unknown[],
  ): Promise<PgResult<R>> {
    this.#check();
    return this.#runner.run<R>(NO_CLIENT, statement, values);
  }

  /** Releases its clients. The database stays open for the other pools. */
  async end(): Promise<void> {
    this.#isEnded = true;
    for (const client of this.#clients) client.release();
  }

  /** The database is gone: what a lost connection is to a `pg.Pool`. */
  fail(error: Error): void {
    for (const emitter of [this, ...this.#clients]) {
      if (emitter.listenerCount("error") > 0) emitter.emit("error", error);
    }
  }

  get totalCount(): number {
    return this.#clients.size;
  }

  #check(): void {
    // pg-pool's words: BullMQ looks for them to tell a shutdown from a failure.
    if (this.#isEnded) throw new Error("Cannot use a pool after calling end on the pool");
  }
}
