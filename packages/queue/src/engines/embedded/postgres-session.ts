import { PGlite, protocol } from "@electric-sql/pglite";
import type { FieldDescription, Parameter, StatementResult } from "./thread-messages.ts";

const { Parser, serialize } = protocol;

/** The major version of PostgreSQL in this PGlite; a data folder of another one cannot be opened. */
export const POSTGRES_MAJOR = "18";

/** The most statements that stay prepared; BullMQ has about a hundred. */
const MAX_PREPARED = 400;

/** PGlite's own flags, with the search path of BullMQ's schema and a third less memory. */
const startParams = [
  ...PGlite.defaultStartParams.map((flag) =>
    flag === "search_path=public" ? "search_path=bullmq,public" : flag,
  ),
  "-c",
  "shared_buffers=8MB",
  "-c",
  "wal_buffers=1MB",
  "-c",
  "min_wal_size=32MB",
];

const executeAndSync = Buffer.concat([serialize.execute({}), serialize.sync()]);

interface Prepared {
  slot: number;
  /** Known after the first run; undefined for statements that return no rows. */
  fields: FieldDescription[] | undefined;
}

/** PostgreSQL said no: the fields of its ErrorResponse. */
export class StatementError extends Error {
  readonly fields: Record<string, unknown>;

  constructor(message: string, fields: Record<string, unknown>) {
    super(message);
    this.fields = fields;
  }
}

/** PostgreSQL itself is gone: nothing can be run any more. */
export class SessionLostError extends Error {}

/**
 * The one session that a PGlite has, spoken to in the wire protocol.
 *
 * Statements with parameters are prepared once and then only bound and executed: BullMQ's are PL/pgSQL calls, and
 * parsing and planning them anew each time cost half the throughput.
 */
export class PostgresSession {
  /** I: idle, T: in a transaction, E: in a failed transaction. */
  status: "I" | "T" | "E" = "I";
  /** Called for each NOTIFY on a channel that is listened to. */
  onNotification: (channel: string, payload: string) => void = () => {};

  #pglite: PGlite;
  #prepared = new Map<string, Prepared>();
  #freeSlots: number[] = [];
  #parser = new Parser();
  #messages: ProtocolMessage[] = [];
  #failure: unknown;

  private constructor(pglite: PGlite) {
    this.#pglite = pglite;
  }

  /** Opens the data folder; one that is empty or missing is made. `log` gets the last that PostgreSQL says. */
  static async open(dataDir: string, log: string[] = []): Promise<PostgresSession> {
    const pglite = await PGlite.create({
      dataDir,
      startParams,
      // 16 MB otherwise, filled with zeros at once whenever one is begun.
      initDbStartParams: ["--wal-segsize=1"],
      onStderr: (line) => {
        log.push(line);
        if (log.length > 40) log.shift();
        return false;
      },
    });
    return new PostgresSession(pglite);
  }

  /**
   * Runs one statement with parameters, or any number without.
   * Throws a {@link StatementError}, or a {@link SessionLostError} when the session cannot go on.
   */
  execute(text: string, parameters?: Parameter[]): StatementResult[] {
    if (parameters === undefined) return this.#collect(serialize.query(text));
    const known = this.#prepared.get(text);
    if (known === undefined) return this.#prepareAndRun(text, parameters);
    // Most recently used last.
    this.#prepared.delete(text);
    this.#prepared.set(text, known);
    try {
      return this.#collect(
        Buffer.concat([serialize.bind({ statement: `tl${known.slot}`, values: parameters }), executeAndSync]),
        known,
      );
    } catch (error) {
      if (!isStalePlan(error)) throw error;
      this.#forget(text, known);
      if (this.status !== "I") throw error;
      return this.#prepareAndRun(text, parameters);
    }
  }

  /** Drops the databases that others are copied from, two thirds of a new folder's files: there is only this one. */
  dropTemplates(): void {
    this.execute("UPDATE pg_database SET datistemplate = false");
    for (const name of ["template0", "template1"]) this.execute(`DROP DATABASE ${name}`);
  }

  async close(): Promise<void> {
    await this.#pglite.close();
  }

  #prepareAndRun(text: string, parameters: Parameter[]): StatementResult[] {
    if (this.#prepared.size >= MAX_PREPARED) {
      const [oldest] = this.#prepared;
      if (oldest !== undefined) this.#forget(...oldest);
    }
    const slot = this.#freeSlots.pop() ?? this.#prepared.size;
    const name = `tl${slot}`;
    const prepared: Prepared = { slot, fields: undefined };
    try {
      const results = this.#collect(
        Buffer.concat([
          serialize.parse({ name, text }),
          serialize.describe({ type: "S", name }),
          serialize.bind({ statement: name, values: parameters }),
          executeAndSync,
        ]),
        prepared,
      );
      this.#prepared.set(text, prepared);
      const [result] = results;
      if (result !== undefined) result.fields = prepared.fields ?? [];
      return results;
    } catch (error) {
      // It may have been prepared before it failed: the slot is only used again once that is undone.
      this.#forget(text, prepared);
      throw error;
    }
  }

  #forget(text: string, prepared: Prepared): void {
    this.#prepared.delete(text);
    const close = serialize.close({ type: "S", name: `tl${prepared.slot}` });
    this.#send(Buffer.concat([close, serialize.sync()]));
    this.#freeSlots.push(prepared.slot);
  }

  /** Sends a message and sorts the answer into results, notifications and the first error. */
  #collect(message: Uint8Array, prepared?: Prepared): StatementResult[] {
    const results: StatementResult[] = [];
    let fields: FieldDescription[] | undefined;
    let rows: (string | null)[][] = [];
    let error: StatementError | undefined;
    for (const answer of this.#send(message)) {
      switch (answer.name) {
        case "rowDescription":
          fields = answer.fields.map(describeField);
          if (prepared !== undefined) prepared.fields = fields;
          break;
        case "dataRow":
          rows.push(answer.fields);
          break;
        case "emptyQuery":
        case "commandComplete":
          results.push({
            command: answer.name === "emptyQuery" ? "" : answer.text,
            slot: prepared?.slot,
            fields: prepared === undefined ? (fields ?? []) : undefined,
            rows,
          });
          fields = undefined;
          rows = [];
          break;
        case "error":
          error ??= statementError(answer);
          break;
      }
    }
    if (error !== undefined) throw error;
    return results;
  }

  #send(message: Uint8Array): ProtocolMessage[] {
    this.#messages = [];
    let ready = false;
    // Runs to its end before it returns: PGlite's only waits are for a file system that has to be synced.
    this.#pglite
      .execProtocolRawStream(message, {
        syncToFs: false,
        onRawData: (data) => {
          this.#parser.parse(data, (answer) => {
            const known = answer as unknown as ProtocolMessage;
            if (known.name === "readyForQuery") {
              this.status = known.status;
              ready = true;
            } else if (known.name === "notification") {
              this.onNotification(known.channel, known.payload);
            } else {
              this.#messages.push(known);
            }
          });
        },
      })
      .catch((error: unknown) => {
        this.#failure = error;
      });
    if (!ready) throw new SessionLostError("PostgreSQL stopped answering", { cause: this.#failure });
    return this.#messages;
  }
}

/** The messages of the protocol that matter here, by the names PGlite's parser gives them. */
type ProtocolMessage =
  | { name: "rowDescription"; fields: FieldDescription[] }
  | { name: "dataRow"; fields: (string | null)[] }
  | { name: "commandComplete"; text: string }
  | { name: "emptyQuery" }
  | { name: "readyForQuery"; status: "I" | "T" | "E" }
  | { name: "notification"; channel: string; payload: string }
  | ({ name: "error"; message: string } & Record<string, unknown>);

function describeField(field: FieldDescription): FieldDescription {
  const { name, tableID, columnID, dataTypeID, dataTypeSize, dataTypeModifier } = field;
  return { name, tableID, columnID, dataTypeID, dataTypeSize, dataTypeModifier, format: "text" };
}

function statementError(answer: Error | object): StatementError {
  const { message, name: _name, stack: _stack, ...fields } = answer as Error;
  return new StatementError(message, fields);
}

/** The statement has gone, or what it reads has changed shape: it has to be prepared again. */
function isStalePlan(error: unknown): boolean {
  if (!(error instanceof StatementError)) return false;
  const { code, routine } = error.fields;
  return code === "26000" || (code === "0A000" && routine === "RevalidateCachedQuery");
}
