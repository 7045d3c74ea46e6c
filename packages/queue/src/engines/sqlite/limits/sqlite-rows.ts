import type { Transaction } from "@taskloom/bullmq-sqlite";
import type { LimitTerms } from "../../../contract/task-limits.ts";
import type { LedgerJob, LedgerRows, LineEntry, Slot } from "../../limits/ledger-rows.ts";

// The database thread loads this module, so it imports no other package.

type StoredRow = NonNullable<ReturnType<Transaction["get"]>>;

const THIS_LIMIT = "queue = ? AND name = ?";

/** The rows of the limits of one lane in a folder, within one transaction. */
export class SqliteRows implements LedgerRows {
  readonly #transaction: Transaction;
  readonly #queue: string;

  constructor(transaction: Transaction, queue: string) {
    this.#transaction = transaction;
    this.#queue = queue;
  }

  #count(sql: string, ...params: (string | number)[]): number {
    return Number(this.#transaction.get(sql, this.#queue, ...params)?.["n"] ?? 0);
  }

  terms(limit: string): LimitTerms | undefined {
    const row = this.#transaction.get(
      `SELECT name, max, window FROM taskloom_limit WHERE ${THIS_LIMIT}`,
      this.#queue,
      limit,
    );
    return row && termsOf(row);
  }

  putTerms({ name, max, window }: LimitTerms): void {
    this.#transaction.run(
      `INSERT INTO taskloom_limit (queue, name, max, window) VALUES (?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET max = excluded.max, window = excluded.window
        WHERE max <> excluded.max OR window <> excluded.window`,
      this.#queue,
      name,
      max,
      window,
    );
  }

  dropTerms(limit: string): void {
    this.#transaction.run(`DELETE FROM taskloom_limit WHERE ${THIS_LIMIT}`, this.#queue, limit);
  }

  termsAfter(name: string, count: number): LimitTerms[] {
    const rows = this.#transaction.all(
      "SELECT name, max, window FROM taskloom_limit WHERE queue = ? AND name > ? ORDER BY name LIMIT ? + 0",
      this.#queue,
      name,
      most(count),
    );
    return rows.map(termsOf);
  }

  nextRank(): number {
    const row = this.#transaction.get(
      `INSERT INTO taskloom_limit_rank VALUES (?, 1)
        ON CONFLICT DO UPDATE SET rank = rank + 1 RETURNING rank AS n`,
      this.#queue,
    );
    return Number(row?.["n"]);
  }

  countSlots(limit: string): number {
    return this.#count(`SELECT count(*) AS n FROM taskloom_limit_slot WHERE ${THIS_LIMIT}`, limit);
  }

  slots(limit: string): Slot[] {
    const rows = this.#transaction.all(
      `SELECT id, token, rank, until FROM taskloom_limit_slot WHERE ${THIS_LIMIT} ORDER BY until`,
      this.#queue,
      limit,
    );
    return rows.map(slotOf);
  }

  slot(limit: string, id: string, token: string): Slot | undefined {
    const row = this.#transaction.get(
      `SELECT id, token, rank, until FROM taskloom_limit_slot WHERE ${THIS_LIMIT} AND id = ? AND token = ?`,
      this.#queue,
      limit,
      id,
      token,
    );
    return row && slotOf(row);
  }

  hasSlot(limit: string, id: string): boolean {
    return (
      this.#count(`SELECT count(*) AS n FROM taskloom_limit_slot WHERE ${THIS_LIMIT} AND id = ?`, limit, id) >
      0
    );
  }

  addSlot(limit: string, { id, token, rank, until }: Slot): void {
    this.#transaction.run(
      "INSERT OR REPLACE INTO taskloom_limit_slot (queue, name, id, token, rank, until) VALUES (?, ?, ?, ?, ?, ?)",
      this.#queue,
      limit,
      id,
      token,
      rank,
      until,
    );
  }

  dropSlot(limit: string, id: string, token: string): void {
    this.#transaction.run(
      `DELETE FROM taskloom_limit_slot WHERE ${THIS_LIMIT} AND id = ? AND token = ?`,
      this.#queue,
      limit,
      id,
      token,
    );
  }

  dropSlotsUntil(limit: string, now: number): void {
    this.#transaction.run(
      `DELETE FROM taskloom_limit_slot WHERE ${THIS_LIMIT} AND until <= ?`,
      this.#queue,
      limit,
      now,
    );
  }

  countLine(limit: string): number {
    return this.#count(`SELECT count(*) AS n FROM taskloom_limit_line WHERE ${THIS_LIMIT}`, limit);
  }

  countAhead(limit: string, rank: number): number {
    return this.#count(
      `SELECT count(*) AS n FROM taskloom_limit_line WHERE ${THIS_LIMIT} AND rank < ?`,
      limit,
      rank,
    );
  }

  lineAfter(limit: string, rank: number, count: number): LineEntry[] {
    const rows = this.#transaction.all(
      `SELECT id, rank, hold FROM taskloom_limit_line WHERE ${THIS_LIMIT} AND rank > ? ORDER BY rank LIMIT ? + 0`,
      this.#queue,
      limit,
      rank,
      most(count),
    );
    return rows.map(entryOf);
  }

  entry(limit: string, id: string): LineEntry | undefined {
    const row = this.#transaction.get(
      `SELECT id, rank, hold FROM taskloom_limit_line WHERE ${THIS_LIMIT} AND id = ?`,
      this.#queue,
      limit,
      id,
    );
    return row && entryOf(row);
  }

  hasParked(limit: string): boolean {
    const row = this.#transaction.get(
      `SELECT 1 FROM taskloom_limit_line WHERE ${THIS_LIMIT} AND hold IS NULL LIMIT 1`,
      this.#queue,
      limit,
    );
    return row !== undefined;
  }

  putEntry(limit: string, { id, rank, hold }: LineEntry): void {
    this.#transaction.run(
      "INSERT OR REPLACE INTO taskloom_limit_line (queue, name, id, rank, hold) VALUES (?, ?, ?, ?, ?)",
      this.#queue,
      limit,
      id,
      rank,
      hold ?? null,
    );
  }

  dropEntry(limit: string, id: string): void {
    this.#transaction.run(
      `DELETE FROM taskloom_limit_line WHERE ${THIS_LIMIT} AND id = ?`,
      this.#queue,
      limit,
      id,
    );
  }

  linesOf(id: string): string[] {
    const rows = this.#transaction.all(
      "SELECT name FROM taskloom_limit_line WHERE queue = ? AND id = ?",
      this.#queue,
      id,
    );
    return rows.map(({ name }) => String(name));
  }

  job(id: string): LedgerJob | undefined {
    const job = this.#transaction.job(this.#queue, id);
    if (job === undefined) return undefined;
    return { hasEnded: job.finished !== undefined, isDelayed: job.state === "delayed", token: job.token };
  }

  wakeJob(id: string): void {
    const place = "q = (SELECT q FROM queue WHERE name = ?) AND id = ?";
    const ord = this.#transaction.get(`SELECT ord FROM job WHERE ${place}`, this.#queue, id)?.["ord"];
    this.#transaction.promote(this.#queue, id);
    // BullMQ's promotion puts the job behind all others, and the job keeps its place here.
    if (ord !== undefined)
      this.#transaction.run(`UPDATE job SET ord = ? WHERE ${place}`, ord, this.#queue, id);
  }
}

/** Returns a number of rows for SQLite, where -1 stands for all. */
function most(count: number): number {
  return count === Infinity ? -1 : count;
}

function termsOf(row: StoredRow): LimitTerms {
  return { name: String(row["name"]), max: Number(row["max"]), window: Number(row["window"]) };
}

function slotOf(row: StoredRow): Slot {
  const { id, token, rank, until } = row;
  return { id: String(id), token: String(token), rank: Number(rank), until: Number(until) };
}

function entryOf(row: StoredRow): LineEntry {
  const { id, rank, hold } = row;
  return { id: String(id), rank: Number(rank), hold: hold == null ? undefined : Number(hold) };
}
