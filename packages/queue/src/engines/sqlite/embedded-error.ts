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
