import { migrate } from "../driver/install-functions.ts";
import type { SqlSession } from "../driver/sql-session.ts";
import { APPEND_FUNCTIONS } from "./append-functions.ts";
import { APPEND_ONE_FUNCTION } from "./append-one-function.ts";
import { END_FUNCTION } from "./end-function.ts";
import { OTHER_FUNCTIONS } from "./other-functions.ts";
import { OWNER_FUNCTIONS } from "./owner-functions.ts";
import { RUN_FUNCTIONS } from "./run-functions.ts";
import { TABLES } from "./tables.ts";

/**
 * The migrations of the journal, which begin at version 1. A migration that was released never changes. A test pins the
 * digest of each.
 */
export const JOURNAL_MIGRATIONS: readonly string[] = [
  TABLES + RUN_FUNCTIONS + OWNER_FUNCTIONS + APPEND_FUNCTIONS + OTHER_FUNCTIONS,
  END_FUNCTION,
  APPEND_ONE_FUNCTION,
];

/**
 * Installs the tables and the functions of the journal in the schema of BullMQ's tables, which must exist.
 *
 * @param session one connection, not a pool: the migrations are a transaction.
 */
export async function installJournal(session: SqlSession, schema: string): Promise<void> {
  await migrate(session, schema, { table: "taskloom_journal_migration", texts: JOURNAL_MIGRATIONS });
}
