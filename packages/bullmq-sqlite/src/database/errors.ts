import { RedisQueueBackend } from "bullmq";
import { SHARED_MEMORY_FULL } from "../schema/result-codes.ts";

/**
 * A database file that cannot be used, or a database that failed. `code` is stable: `SQLITE_FULL`, `SQLITE_DAMAGED`,
 * `SQLITE_READONLY`, `SQLITE_CANNOT_OPEN`, `SQLITE_NO_WAL`, `SQLITE_SCHEMA_NEWER`, `SQLITE_ONE_PROCESS`, `SQLITE_BUSY`,
 * `SQLITE_CLOSED`, `SQLITE_OPTIONS`, `SQLITE_FILE_EXISTS`, `SQLITE_IO` or `SQLITE_ERROR`.
 */
export class SqliteError extends Error {
  static {
    this.prototype.name = "SqliteError";
  }
  /** A stable code for programs. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The codes of errors by SQLite's primary result codes. Other errors are a `SQLITE_ERROR`. */
const CODES: Readonly<Record<number, string>> = {
  5: "SQLITE_BUSY",
  6: "SQLITE_BUSY",
  8: "SQLITE_READONLY",
  10: "SQLITE_IO",
  11: "SQLITE_DAMAGED",
  13: "SQLITE_FULL",
  26: "SQLITE_DAMAGED",
};

/** Returns the error for one of SQLite's result codes. */
export function sqliteError(errcode: number | undefined, message: string): SqliteError {
  if (errcode === SHARED_MEMORY_FULL)
    return new SqliteError("SQLITE_FULL", `database or disk is full (${message})`);
  return new SqliteError(CODES[(errcode ?? 0) & 0xff] ?? "SQLITE_ERROR", message);
}

/** Returns BullMQ's error for one of its codes. The messages are BullMQ's own, so they are equal on every backend. */
export function bullmqError(about: {
  readonly code: number;
  readonly jobId?: string;
  readonly parentKey?: string;
  readonly command: string;
  readonly state?: string;
}): Error {
  return RedisQueueBackend.prototype.finishedErrors(about);
}
