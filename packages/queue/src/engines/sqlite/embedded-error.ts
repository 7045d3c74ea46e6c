import { SqliteError } from "@taskloom/bullmq-sqlite";
import { registerErrorClasses } from "@taskloom/loop";
import { TaskloomQueueError } from "../../errors.ts";

/** The codes of {@link EmbeddedDatabaseError}. They do not change between releases. */
export type EmbeddedErrorCode =
  /** Another process has the folder open, and this Node's SQLite cannot share it. */
  | "EMBEDDED_LOCKED"
  /** The folder's data cannot be opened. */
  | "EMBEDDED_DAMAGED"
  /** The folder was written by a newer or by an older version. */
  | "EMBEDDED_VERSION"
  /** The path cannot be used: it is a file, is not writable, or is on a full disk or a file system without shared memory. */
  | "EMBEDDED_PATH"
  /** The file of a backup exists already. */
  | "EMBEDDED_FILE_EXISTS"
  /** The database stopped while it was in use. */
  | "EMBEDDED_CRASHED"
  /** The database was closed. */
  | "EMBEDDED_CLOSED";

/** A folder of the embedded engine that cannot be used. `code` has the reason, and the message the next step. */
export class EmbeddedDatabaseError extends TaskloomQueueError {
  declare readonly code: EmbeddedErrorCode;
  /** The database's folder. */
  readonly path: string;

  constructor(code: EmbeddedErrorCode, path: string, message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.path = path;
  }
}

registerErrorClasses({ EmbeddedDatabaseError });

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
