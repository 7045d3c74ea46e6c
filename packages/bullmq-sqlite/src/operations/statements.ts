import type { SQLInputValue } from "node:sqlite";
import type { Row, Store } from "../store/store.ts";

/** A user's statement, with its parameters. */
export type Statement = readonly [sql: string, params?: readonly SQLInputValue[]];

/** The rows of a statement, and the number of rows that it changed. */
export interface StatementResult {
  readonly rows: Row[];
  readonly changes: number;
}

/** Posts a text after the commit of the turn if the statement returns a row. Returns whether it did. */
export function postIf(store: Store, [sql, params = []]: Statement, channel: string, text: string): boolean {
  if (store.prepare(sql).get(...params) === undefined) return false;
  store.post(channel, text);
  return true;
}

/** Runs statements in one transaction. The workers of the queues in `wake` look for jobs afterwards. */
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
