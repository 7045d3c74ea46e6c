import { SqliteError } from "@taskloom/bullmq-sqlite";
import type { Transient } from "../../contract/transient.ts";

/** Says whether an error of the embedded database passes when the command is repeated; see {@link Transient}. */
export function sqliteTransient(error: unknown): Transient | undefined {
  if (!(error instanceof SqliteError)) return undefined;
  if (error.code === "SQLITE_FULL") return "full";
  // Another process had the file for longer than a command waits.
  return error.code === "SQLITE_BUSY" ? "refused" : undefined;
}
