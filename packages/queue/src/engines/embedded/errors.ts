/** Codes of {@link EmbeddedDatabaseError}; they do not change between releases. */
export type EmbeddedErrorCode =
  /** Another process has the folder open. */
  | "EMBEDDED_LOCKED"
  /** The folder's data cannot be opened. */
  | "EMBEDDED_DAMAGED"
  /** The folder was written by a newer version. */
  | "EMBEDDED_VERSION"
  /** The path cannot be used: a file, not writable, on a full disk. */
  | "EMBEDDED_PATH"
  /** The database stopped while it was in use. */
  | "EMBEDDED_CRASHED"
  /** The database was closed. */
  | "EMBEDDED_CLOSED"
  /** This Node.js cannot run the engine. */
  | "EMBEDDED_UNSUPPORTED";

/** What went wrong with an embedded database; `code` tells which, the message what to do next. */
export class EmbeddedDatabaseError extends Error {
  override readonly name: string = "EmbeddedDatabaseError";
  readonly code: EmbeddedErrorCode;
  /** The database's folder. */
  readonly path: string;

  constructor(code: EmbeddedErrorCode, path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.path = path;
  }
}

/** The folder is in use: by which process, and where it answers, if it has said so. */
export class EmbeddedLockedError extends EmbeddedDatabaseError {
  override readonly name: string = "EmbeddedLockedError";
  readonly pid: number | undefined;
  readonly address: string | undefined;

  constructor(path: string, owner: { pid: number; address?: string } | undefined, options?: ErrorOptions) {
    const who = owner === undefined ? "another process" : `process ${owner.pid}`;
    const where = owner?.address === undefined ? "" : `, which answers at ${owner.address}`;
    const next =
      owner?.address === undefined
        ? "Stop that process, or use another folder (embedded:PATH)."
        : "Send the work to that address, stop that process, or use another folder (embedded:PATH).";
    super("EMBEDDED_LOCKED", path, `${path} is in use by ${who}${where}. ${next}`, options);
    this.pid = owner?.pid;
    this.address = owner?.address;
  }
}
