import { SqliteError } from "@taskloom/bullmq-sqlite";
import type { Transient } from "../../contract/transient.ts";

/** {@link Engine.transient} for errors of the embedded database. */
export function sqliteTransient(error: unknown): Transient | undefined {
  if (!(error instanceof SqliteError)) return undefined;
  if (error.code === "SQLITE_FULL") return "full";
  // Another process locked the file for longer than a command waits.
  return error.code === "SQLITE_BUSY" ? "refused" : undefined;
}
