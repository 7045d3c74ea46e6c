import { quoteSchemaName } from "bullmq";
import type { Row } from "../../sql/rows.ts";
import type { SqlSession } from "./sql-session.ts";

/** The parts of the engine that callers of our functions in the database need. */
export interface FunctionParts {
  /** The schema of BullMQ's tables, in which the functions are installed. */
  readonly schema: string;
  /** A pool that may repeat statements that the server refused. */
  readonly pool: SqlSession;
  /** Resolves when the functions are installed. */
  readonly ready: () => Promise<void>;
}

/** Calls our functions in the database. */
export class OwnFunctions {
  /** The schema, quoted for a statement. */
  readonly schema: string;
  readonly #parts: FunctionParts;

  constructor(parts: FunctionParts) {
    this.#parts = parts;
    this.schema = quoteSchemaName(parts.schema);
  }

  async query(text: string, params: readonly unknown[], name?: string): Promise<Row[]> {
    await this.#parts.ready();
    return (await this.#parts.pool.query(text, params, name)).rows;
  }

  /** Calls the function `taskloom_NAME_v1`. A single value is in the column `result`. */
  call(name: string, ...params: readonly unknown[]): Promise<Row[]> {
    return this.query(this.#statement(name, params), params);
  }

  /** Calls a function by a statement that each connection prepares once: for calls that a user waits for one by one. */
  callPrepared(name: string, ...params: readonly unknown[]): Promise<Row[]> {
    return this.query(this.#statement(name, params), params, `taskloom_${name}_v1`);
  }

  #statement(name: string, params: readonly unknown[]): string {
    const places = params.map((_, at) => `$${at + 1}`).join(", ");
    return `SELECT * FROM ${this.schema}.taskloom_${name}_v1(${places}) AS result`;
  }
}
