import { SqliteError } from "@taskloom/bullmq-sqlite";
import { EmbeddedDatabaseError } from "./embedded-error.ts";
import type { EmbeddedErrorCode } from "./embedded-error.ts";

const CODES: Readonly<Record<string, EmbeddedErrorCode>> = {
  SQLITE_DAMAGED: "EMBEDDED_DAMAGED",
  SQLITE_SCHEMA_NEWER: "EMBEDDED_VERSION",
  SQLITE_ONE_PROCESS: "EMBEDDED_LOCKED",
  SQLITE_READONLY: "EMBEDDED_PATH",
  SQLITE_CANNOT_OPEN: "EMBEDDED_PATH",
  SQLITE_NO_WAL: "EMBEDDED_PATH",
  SQLITE_FULL: "EMBEDDED_PATH",
  SQLITE_IO: "EMBEDDED_PATH",
  SQLITE_FILE_EXISTS: "EMBEDDED_FILE_EXISTS",
  SQLITE_CLOSED: "EMBEDDED_CLOSED",
};

/** Returns the engine's error for an error of its database. */
export function embeddedError(path: string, error: unknown): EmbeddedDatabaseError {
  if (error instanceof EmbeddedDatabaseError) return error;
  const code = error instanceof SqliteError ? CODES[error.code] : undefined;
  const message = error instanceof Error ? error.message : String(error);
  return new EmbeddedDatabaseError(code ?? "EMBEDDED_CRASHED", path, message, { cause: error });
}
