import type { Transaction } from "@taskloom/bullmq-sqlite";
import { JOURNAL_PAGE } from "../../../contract/run-journal.ts";
import type { RunHead } from "../../../contract/run-journal.ts";

// The database thread loads this module, so it imports no other package.

/** The row of a run. */
export interface StoredRun {
  readonly queue: string;
  readonly id: string;
  epoch: number;
  generation: number;
  consumed: number;
  /** The number of all items. */
  delivered: number;
  deaths: number;
  /** The token of the owner; null if the run was parked or released. */
  owner: string | null;
  view: string | null;
  /** The keys of the last deliveries, as JSON. */
  keys: string;
}

const COLUMNS = "epoch, generation, consumed, delivered, deaths, owner, view, keys";

/** Returns the journal of the job that was added at `born`; undefined if the job has none. */
export function findRun(
  transaction: Transaction,
  queue: string,
  id: string,
  born: number,
): StoredRun | undefined {
  const row = transaction.get(
    `SELECT ${COLUMNS} FROM taskloom_run WHERE queue = ? AND id = ? AND born = ?`,
    queue,
    id,
    born,
  );
  return (
    row && {
      queue,
      id,
      epoch: Number(row["epoch"]),
      generation: Number(row["generation"]),
      consumed: Number(row["consumed"]),
      delivered: Number(row["delivered"]),
      deaths: Number(row["deaths"]),
      owner: textOrNull(row["owner"]),
      view: textOrNull(row["view"]),
      keys: String(row["keys"]),
    }
  );
}

/** Returns the journal of a job, which begins empty. The journal of an earlier job of the same id is removed. */
export function runOf(transaction: Transaction, queue: string, id: string, born: number): StoredRun {
  const found = findRun(transaction, queue, id, born);
  if (found !== undefined) return found;
  clear(transaction, queue, id);
  transaction.run("INSERT INTO taskloom_run (queue, id, born) VALUES (?, ?, ?)", queue, id, born);
  return findRun(transaction, queue, id, born)!;
}

export function clear(transaction: Transaction, queue: string, id: string): void {
  for (const table of ["taskloom_run", "taskloom_log", "taskloom_inbox"])
    transaction.run(`DELETE FROM ${table} WHERE queue = ? AND id = ?`, queue, id);
}

/** Stores the row of a run. */
export function save(transaction: Transaction, run: StoredRun): void {
  transaction.run(
    `UPDATE taskloom_run SET epoch = ?, generation = ?, consumed = ?, delivered = ?, deaths = ?, owner = ?, view = ?, keys = ?
      WHERE queue = ? AND id = ?`,
    run.epoch,
    run.generation,
    run.consumed,
    run.delivered,
    run.deaths,
    run.owner,
    run.view,
    run.keys,
    run.queue,
    run.id,
  );
}

export function lengthOf(transaction: Transaction, { queue, id, generation }: StoredRun): number {
  const row = transaction.get(
    "SELECT max(seq) AS last FROM taskloom_log WHERE queue = ? AND id = ? AND generation = ?",
    queue,
    id,
    generation,
  );
  return row?.["last"] == null ? 0 : Number(row["last"]) + 1;
}

export function entryAt(
  transaction: Transaction,
  { queue, id, generation }: StoredRun,
  seq: number,
): string | undefined {
  const row = transaction.get(
    "SELECT entry FROM taskloom_log WHERE queue = ? AND id = ? AND generation = ? AND seq = ?",
    queue,
    id,
    generation,
    seq,
  );
  return row && String(row["entry"]);
}

/** Returns log entries from a position on. */
export function entriesFrom(
  transaction: Transaction,
  { queue, id, generation }: StoredRun,
  from: number,
  count: number = JOURNAL_PAGE,
): string[] {
  const rows = transaction.all(
    "SELECT entry FROM taskloom_log WHERE queue = ? AND id = ? AND generation = ? AND seq >= ? ORDER BY seq LIMIT ?",
    queue,
    id,
    generation,
    from,
    count,
  );
  return rows.map(({ entry }) => String(entry));
}

/** Returns unread items from a number on. */
export function itemsFrom(
  transaction: Transaction,
  { queue, id, consumed, delivered }: StoredRun,
  from: number,
  count: number = JOURNAL_PAGE,
): string[] {
  const first = Math.max(from, consumed);
  if (first >= delivered) return [];
  const rows = transaction.all(
    "SELECT item FROM taskloom_inbox WHERE queue = ? AND id = ? AND seq >= ? ORDER BY seq LIMIT ?",
    queue,
    id,
    first,
    count,
  );
  return rows.map(({ item }) => String(item));
}

export function headOf(transaction: Transaction, run: StoredRun): RunHead {
  const { epoch, generation, consumed, delivered, deaths, view } = run;
  return {
    epoch,
    generation,
    length: lengthOf(transaction, run),
    read: consumed,
    unread: delivered - consumed,
    deaths,
    view: view ?? undefined,
  };
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
