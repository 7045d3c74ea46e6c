import { quoteSchemaName } from "bullmq";
import { codeOf } from "../../../error-code.ts";
import type { SqlSession } from "./sql-session.ts";

/** The version of BullMQ's tables and functions that our functions mirror. A test pins the digest of their migrations. */
const KNOWN_VERSION = 11;

/**
 * Returns whether the tables in a schema have exactly the layout that our functions mirror. If not, because another version
 * of BullMQ has migrated them, all commands must be BullMQ's own.
 */
export async function knowsLayout(pool: SqlSession, schema: string): Promise<boolean> {
  try {
    const { rows } = await pool.query(
      `SELECT max(version)::integer AS version FROM ${quoteSchemaName(schema)}.migration`,
    );
    return rows[0]?.["version"] === KNOWN_VERSION;
  } catch (error) {
    if (codeOf(error) === "42P01") return false; // The schema has no tables of BullMQ.
    throw error;
  }
}
