import { extname } from "node:path";
import type { Database, Transaction } from "@taskloom/bullmq-sqlite";
import { MAX_LIMITS_SWEPT } from "../../../contract/task-limits.ts";
import type {
  AskedLimit,
  LimitAnswer,
  LimitEntry,
  LimitPlace,
  LimitState,
  TaskLimits,
} from "../../../contract/task-limits.ts";
import type * as threadLimits from "./thread-limits.ts";

type ThreadLimits = typeof threadLimits;
type Rest<F> = F extends (
  transaction: Transaction,
  queue: string,
  now: number,
  ...rest: infer Args
) => unknown
  ? Args
  : never;

/** The module that the database thread loads. */
const THREAD_MODULE = new URL(`./thread-limits${extname(import.meta.url)}`, import.meta.url).href;

/** Creates the tables of the limits. */
export async function createLimitTables(database: Database): Promise<void> {
  await database.statements([
    [
      `CREATE TABLE IF NOT EXISTS taskloom_limit (queue TEXT NOT NULL, name TEXT NOT NULL, max INTEGER NOT NULL,
        window INTEGER NOT NULL, PRIMARY KEY (queue, name)) STRICT, WITHOUT ROWID`,
    ],
    [
      `CREATE TABLE IF NOT EXISTS taskloom_limit_slot (queue TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL,
        token TEXT NOT NULL, rank INTEGER NOT NULL, until REAL NOT NULL,
        PRIMARY KEY (queue, name, id, token)) STRICT, WITHOUT ROWID`,
    ],
    ["CREATE INDEX IF NOT EXISTS taskloom_limit_slot_until ON taskloom_limit_slot (queue, name, until)"],
    [
      `CREATE TABLE IF NOT EXISTS taskloom_limit_line (queue TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL,
        rank INTEGER NOT NULL, hold REAL, PRIMARY KEY (queue, name, id)) STRICT, WITHOUT ROWID`,
    ],
    ["CREATE INDEX IF NOT EXISTS taskloom_limit_line_rank ON taskloom_limit_line (queue, name, rank)"],
    [
      "CREATE INDEX IF NOT EXISTS taskloom_limit_line_parked ON taskloom_limit_line (queue, name) WHERE hold IS NULL",
    ],
    ["CREATE INDEX IF NOT EXISTS taskloom_limit_line_job ON taskloom_limit_line (queue, id)"],
    [
      "CREATE TABLE IF NOT EXISTS taskloom_limit_rank (queue TEXT PRIMARY KEY, rank INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    ],
  ]);
}

/** The limits of tasks in a folder: each call is one operation of the database thread. */
export class SqliteLimits implements TaskLimits {
  readonly #database: () => Database;
  readonly #now: () => number;

  constructor(database: () => Database, now: () => number) {
    this.#database = database;
    this.#now = now;
  }

  async #call<N extends keyof ThreadLimits>(
    name: N,
    lane: string,
    ...args: Rest<ThreadLimits[N]>
  ): Promise<ReturnType<ThreadLimits[N]>> {
    const result = await this.#database().callFunction(THREAD_MODULE, name, lane, this.#now(), ...args);
    return result as ReturnType<ThreadLimits[N]>;
  }

  async join(lane: string, entries: readonly LimitEntry[]): Promise<void> {
    await this.#call("join", lane, entries);
  }

  async ask(lane: string, id: string, token: string, limits: readonly AskedLimit[]): Promise<LimitAnswer> {
    return await this.#call("ask", lane, id, token, limits);
  }

  async release(
    lane: string,
    id: string,
    token: string,
    limits: readonly string[],
    isBack: boolean,
  ): Promise<void> {
    await this.#call("release", lane, id, token, limits, isBack);
  }

  async wake(lane: string, limits: readonly string[]): Promise<void> {
    await this.#call("wake", lane, limits);
  }

  async sweep(lane: string): Promise<void> {
    let after: string | undefined = "";
    while (after !== undefined) {
      const last: string | undefined = await this.#call("sweep", lane, after, MAX_LIMITS_SWEPT);
      after = last;
    }
  }

  async drop(lane: string, limit: string): Promise<void> {
    await this.#call("drop", lane, limit);
  }

  async list(lane: string): Promise<LimitState[]> {
    return await this.#call("list", lane);
  }

  async place(lane: string, id: string): Promise<LimitPlace | undefined> {
    return await this.#call("place", lane, id);
  }
}
