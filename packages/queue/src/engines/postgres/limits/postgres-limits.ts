import { MAX_LIMITS_SWEPT } from "../../../contract/task-limits.ts";
import type {
  AskedLimit,
  LimitAnswer,
  LimitEntry,
  LimitPlace,
  LimitState,
  TaskLimits,
} from "../../../contract/task-limits.ts";
import { migrate } from "../driver/install-functions.ts";
import { OwnFunctions } from "../driver/own-functions.ts";
import type { FunctionParts } from "../driver/own-functions.ts";
import type { SqlSession } from "../driver/sql-session.ts";
import type { Row } from "../../sql/rows.ts";
import { LIMIT_FUNCTIONS } from "./limit-functions.ts";
import { LIMIT_TABLES } from "./limit-tables.ts";

/** The greatest number of jobs of one statement that joins lines. */
const MAX_JOINED = 500;

/** The migrations of the limits, which begin at version 1. A migration that was released never changes. */
export const LIMIT_MIGRATIONS: readonly string[] = [LIMIT_TABLES + LIMIT_FUNCTIONS];

/**
 * Installs the tables and the functions of the limits in the schema of BullMQ's tables, which must exist.
 *
 * @param session one connection, not a pool: the migrations are a transaction.
 */
export async function installLimits(session: SqlSession, schema: string): Promise<void> {
  await migrate(session, schema, { table: "taskloom_limit_migration", texts: LIMIT_MIGRATIONS });
}

/** The parts of the engine that the limits need. */
export interface LimitParts extends FunctionParts {
  readonly now: () => number;
}

/** The limits of tasks in PostgreSQL: one statement and one commit for each operation. */
export class PostgresLimits implements TaskLimits {
  readonly #functions: OwnFunctions;
  readonly #engineNow: () => number;

  constructor({ now, ...parts }: LimitParts) {
    this.#functions = new OwnFunctions(parts);
    this.#engineNow = now;
  }

  /** Calls a function of the limits. */
  #call(name: string, ...params: readonly unknown[]): Promise<Row[]> {
    return this.#functions.call(`limit_${name}`, ...params);
  }

  #now(): number {
    return Math.floor(this.#engineNow());
  }

  async join(lane: string, entries: readonly LimitEntry[]): Promise<void> {
    for (let at = 0; at < entries.length; at += MAX_JOINED) {
      const part = entries.slice(at, at + MAX_JOINED);
      const ids = part.map(({ id }) => id);
      await this.#call("join", lane, ids, JSON.stringify(part.map(({ limits }) => limits)));
    }
  }

  async ask(lane: string, id: string, token: string, limits: readonly AskedLimit[]): Promise<LimitAnswer> {
    const names = limits.map(({ name }) => name);
    const max = limits.map((each) => each.max);
    const windows = limits.map(({ window }) => window);
    const wide = limits.map(({ includesOthers }) => includesOthers);
    const [row] = await this.#call("ask", lane, this.#now(), id, token, names, max, windows, wide);
    switch (row?.["kind"]) {
      case "granted":
        return { kind: "granted" };
      case "refused":
        return { kind: "refused", limit: String(row["refused"]), until: Number(row["until_ms"]) };
      default:
        return { kind: "lost" };
    }
  }

  async release(
    lane: string,
    id: string,
    token: string,
    limits: readonly string[],
    isBack: boolean,
  ): Promise<void> {
    await this.#call("release", lane, this.#now(), id, token, [...limits], isBack);
  }

  async wake(lane: string, limits: readonly string[]): Promise<void> {
    await this.#call("wake", lane, this.#now(), [...limits]);
  }

  async sweep(lane: string): Promise<void> {
    for (let after = "", size = MAX_LIMITS_SWEPT; size === MAX_LIMITS_SWEPT;) {
      const rows = await this.#functions.query(
        `SELECT name FROM ${this.#functions.schema}.taskloom_limit WHERE queue = $1 AND name > $2 ORDER BY name LIMIT ${MAX_LIMITS_SWEPT}`,
        [lane, after],
      );
      // Each limit is a transaction of its own, since one with many would hold many locks.
      for (const { name } of rows) await this.#call("sweep", lane, this.#now(), name);
      size = rows.length;
      after = String(rows.at(-1)?.["name"]);
    }
  }

  async drop(lane: string, limit: string): Promise<void> {
    await this.#call("drop", lane, limit);
  }

  async list(lane: string): Promise<LimitState[]> {
    const rows = await this.#functions.query(`${this.#states()} WHERE queue = $1 ORDER BY name COLLATE "C"`, [
      lane,
      this.#now(),
    ]);
    return rows.map(stateOf);
  }

  async place(lane: string, id: string): Promise<LimitPlace | undefined> {
    const { line } = this.#tables();
    const [row] = await this.#functions.query(
      `SELECT states.*, (SELECT count(*) FROM ${line} AS ahead
          WHERE ahead.queue = own.queue AND ahead.name = own.name AND ahead.rank < own.rank)::integer AS ahead
        FROM ${line} AS own JOIN (${this.#states()}) AS states USING (queue, name)
        WHERE own.queue = $1 AND own.id = $3 AND own.hold_ms IS NULL`,
      [lane, this.#now(), id],
    );
    return row && { ...stateOf(row), ahead: Number(row["ahead"]) };
  }

  #tables(): { readonly taken: string; readonly line: string } {
    return {
      taken: `${this.#functions.schema}.taskloom_limit_slot`,
      line: `${this.#functions.schema}.taskloom_limit_line`,
    };
  }

  /** Returns a SELECT of the limits with their states. Its second parameter is the time. */
  #states(): string {
    const { taken, line } = this.#tables();
    return `SELECT terms.queue, terms.name, max, window_ms::float8 AS window_ms,
        (SELECT count(*) FROM ${taken} AS slot WHERE slot.queue = terms.queue AND slot.name = terms.name
          AND CASE WHEN until_ms > 0 THEN until_ms > $2 ELSE EXISTS (SELECT 1 FROM ${this.#functions.schema}.job AS job
            WHERE job.queue = slot.queue AND job.id = slot.id AND job.state = 'active' AND job.lock_token = slot.token)
          END)::integer AS taken,
        (SELECT count(*) FROM ${line} AS line
          WHERE line.queue = terms.queue AND line.name = terms.name)::integer AS waiting
      FROM ${this.#functions.schema}.taskloom_limit AS terms`;
  }
}

function stateOf(row: Row): LimitState {
  return {
    name: String(row["name"]),
    max: Number(row["max"]),
    window: Number(row["window_ms"]),
    taken: Number(row["taken"]),
    waiting: Number(row["waiting"]),
  };
}
