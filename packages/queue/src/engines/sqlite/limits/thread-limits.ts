import type { Transaction } from "@taskloom/bullmq-sqlite";
import type {
  AskedLimit,
  LimitAnswer,
  LimitEntry,
  LimitPlace,
  LimitState,
} from "../../../contract/task-limits.ts";
import { Ledger } from "../../limits/ledger.ts";
import { SqliteRows } from "./sqlite-rows.ts";

// The database thread loads this module, so it imports no other package. Each function runs in a transaction.

function ledgerOf(transaction: Transaction, queue: string, now: number): Ledger {
  return new Ledger(new SqliteRows(transaction, queue), now);
}

export function join(
  transaction: Transaction,
  queue: string,
  now: number,
  entries: readonly LimitEntry[],
): void {
  ledgerOf(transaction, queue, now).join(entries);
}

export function ask(
  transaction: Transaction,
  queue: string,
  now: number,
  id: string,
  token: string,
  limits: readonly AskedLimit[],
): LimitAnswer {
  return ledgerOf(transaction, queue, now).ask(id, token, limits);
}

export function release(
  transaction: Transaction,
  queue: string,
  now: number,
  id: string,
  token: string,
  limits: readonly string[],
  isBack: boolean,
): void {
  ledgerOf(transaction, queue, now).release(id, token, limits, isBack);
}

export function wake(transaction: Transaction, queue: string, now: number, limits: readonly string[]): void {
  for (const limit of limits) ledgerOf(transaction, queue, now).wake(limit);
}

/** Sweeps some limits behind a name. Returns the last one, if there may be more. */
export function sweep(
  transaction: Transaction,
  queue: string,
  now: number,
  after: string,
  count: number,
): string | undefined {
  return ledgerOf(transaction, queue, now).sweep(after, count);
}

export function drop(transaction: Transaction, queue: string, now: number, limit: string): void {
  ledgerOf(transaction, queue, now).drop(limit);
}

export function list(transaction: Transaction, queue: string, now: number): LimitState[] {
  return ledgerOf(transaction, queue, now).list();
}

export function place(
  transaction: Transaction,
  queue: string,
  now: number,
  id: string,
): LimitPlace | undefined {
  return ledgerOf(transaction, queue, now).place(id);
}
