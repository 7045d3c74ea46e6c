import type { SQLInputValue } from "node:sqlite";
import type { Row, Store } from "../store/store.ts";

/** A statement of a user's own, with its parameters. */
export type Statement = readonly [sql: string, params?: readonly SQLInputValue[]];

/** The result of a statement: its rows, and how many rows it changed. */
export interface StatementResult {
  readonly rows: Row[];
  readonly changes: number;
}

/** Posts a text, once the turn is stored, if the statement returns a row; returns whether it did. */
export function postIf(store: Store, [sql, params = []]: Statement, channel: string, text: string): boolean {
  if (store.prepare(sql).get(...params) === undefined) return false;
  store.post(channel, text);
  return true;
}

/** Runs statements in one step, so that nobody sees what is between them. Queues in `wake` have work afterwards. */
export function runStatements(
  store: Store,
  statements: readonly Statement[],
  wake: readonly string[] = [],
): StatementResult[] {
  const results = statements.map(([sql, params = []]): StatementResult => {
    const statement = store.prepare(sql);
    const returns = statement.columns().length > 0;
    if (returns) return { rows: statement.all(...params) as Row[], changes: 0 };
    return { rows: [], changes: Number(statement.run(...params).changes) };
  });
  for (const queue of wake) store.wake(queue);
  return results;
}
