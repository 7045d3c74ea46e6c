import { quoteSchemaName } from "bullmq";
import { codeOf } from "../../../error-code.ts";
import type { SqlSession } from "./sql-session.ts";
import { ADD_FUNCTION } from "./add-function.ts";
import { CLAIM_FUNCTIONS } from "./claim-functions.ts";
import { END_FUNCTIONS } from "./end-functions.ts";
import { TURN_FUNCTION } from "./turn-function.ts";

/** The first key of the advisory lock of our migrations. The second key is the schema. */
const LOCK_KEY = 0x7461_736b; // "task" in ASCII

/**
 * The migrations of our functions, which begin at version 1. A migration that was released never changes: the functions
 * have their version in their names, so processes with an older release keep theirs. A test pins the digest of each.
 */
export const MIGRATIONS: readonly string[] = [END_FUNCTIONS + CLAIM_FUNCTIONS + TURN_FUNCTION + ADD_FUNCTION];

/** The migrations of one part of our functions and tables. */
export interface Migrations {
  /** The table that stores the version. */
  readonly table: string;
  readonly texts: readonly string[];
}

/**
 * Installs our functions in the schema of BullMQ's tables, which must exist. Several processes can do so at once.
 *
 * @param session one connection, not a pool: the migrations are a transaction.
 */
export async function installFunctions(session: SqlSession, schema: string): Promise<void> {
  await migrate(session, schema, { table: "taskloom_migration", texts: MIGRATIONS });
}

/** Brings one part of our functions and tables to its last version, as {@link installFunctions} does. */
export async function migrate(
  session: SqlSession,
  schema: string,
  { table, texts }: Migrations,
): Promise<void> {
  const quoted = quoteSchemaName(schema);
  if ((await installedVersion(session, quoted, table)) >= texts.length) return;
  await session.query("BEGIN");
  try {
    await session.query("SELECT pg_advisory_xact_lock($1, hashtext($2))", [LOCK_KEY, schema]);
    await session.query(`SET LOCAL search_path TO ${quoted}`);
    await session.query(
      `CREATE TABLE IF NOT EXISTS ${table}
        (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`,
    );
    for (
      let version = 1 + (await installedVersion(session, quoted, table));
      version <= texts.length;
      version++
    ) {
      await session.query(texts[version - 1]!);
      await session.query(`INSERT INTO ${table} (version) VALUES ($1)`, [version]);
    }
    await session.query("COMMIT");
  } catch (error) {
    await session.query("ROLLBACK").catch(() => {}); // The first error names the cause.
    throw error;
  }
}

/** Returns the version of the installed part; 0 without any. */
async function installedVersion(session: SqlSession, quotedSchema: string, table: string): Promise<number> {
  try {
    const { rows } = await session.query(
      `SELECT COALESCE(max(version), 0)::integer AS version FROM ${quotedSchema}.${table}`,
    );
    return Number(rows[0]?.["version"]);
  } catch (error) {
    if (codeOf(error) === "42P01") return 0;
    throw error;
  }
}
