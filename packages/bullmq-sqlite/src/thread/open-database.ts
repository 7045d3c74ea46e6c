import { DatabaseSync } from "node:sqlite";
import { SCHEMA, SCHEMA_VERSION } from "../schema/schema.ts";
import { SHARED_MEMORY_FULL, primaryCode, resultCode } from "../schema/result-codes.ts";
import type { OpenOptions } from "./messages.ts";

/** A file that cannot be used. */
export class OpenRefusal extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The time for which SQLite itself waits for another process's lock while the file is opened. */
const OPEN_TIMEOUT_MS = 5_000;

/**
 * Opens a database file, and makes its tables if it is empty. Nothing is deleted.
 *
 * @throws {@link OpenRefusal} if the file cannot be used.
 */
export function openDatabase({ path, sync }: OpenOptions): DatabaseSync {
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(path);
  } catch (error) {
    throw refusal(path, error);
  }
  try {
    database.exec(`PRAGMA busy_timeout = ${OPEN_TIMEOUT_MS}`);
    const version = Number(Object.values(database.prepare("PRAGMA user_version").get() ?? {})[0]);
    if (version > SCHEMA_VERSION) {
      throw new OpenRefusal(
        "SQLITE_SCHEMA_NEWER",
        `${path} has layout ${version}, and this version of the package knows layouts up to ${SCHEMA_VERSION}: use a newer version of the package`,
      );
    }
    // This has to come before the first table, and without it a file never gets smaller.
    if (version === 0) database.exec("PRAGMA auto_vacuum = INCREMENTAL");
    const mode = String(Object.values(database.prepare("PRAGMA journal_mode = WAL").get() ?? {})[0]);
    if (mode !== "wal" && path !== ":memory:") {
      throw new OpenRefusal(
        "SQLITE_NO_WAL",
        `${path} is on a file system without shared memory, which SQLite's write-ahead log needs: use a local disk`,
      );
    }
    database.exec(`PRAGMA synchronous = ${sync === "full" ? "FULL" : "NORMAL"}`);
    database.exec("PRAGMA wal_autocheckpoint = 1000");
    database.exec("PRAGMA temp_store = MEMORY");
    database.exec("PRAGMA cache_size = -8000");
    if (version === 0) makeTables(database);
    database.exec("PRAGMA busy_timeout = 0"); // From now on the thread waits by itself, which is fairer.
    return database;
  } catch (error) {
    database.close();
    throw refusal(path, error);
  }
}

/** Makes the tables, unless another process that opened the empty file at the same time has made them. */
function makeTables(database: DatabaseSync): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    const version = Number(Object.values(database.prepare("PRAGMA user_version").get() ?? {})[0]);
    if (version === 0) {
      database.exec(SCHEMA);
      database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    }
    database.exec("COMMIT");
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

/** SQLite's result code for a full disk. */
const FULL = 13;

/** The codes of errors and the advice, by SQLite's primary result codes. */
const ADVICE: Readonly<Record<number, readonly [code: string, advice: string]>> = {
  8: ["SQLITE_READONLY", "the file or its folder cannot be written: check its permissions"],
  10: ["SQLITE_IO", "the disk reports an error"],
  11: ["SQLITE_DAMAGED", "the file is damaged: restore a backup, or move it away to begin anew"],
  [FULL]: ["SQLITE_FULL", "the disk is full: make room"],
  14: ["SQLITE_CANNOT_OPEN", "the file cannot be opened: check that its folder is there and can be written"],
  26: ["SQLITE_DAMAGED", "the file is no SQLite database: restore a backup, or move it away to begin anew"],
};

/** Returns the reason why a file cannot be opened, for an error of SQLite. */
export function refusal(path: string, error: unknown): OpenRefusal {
  if (error instanceof OpenRefusal) return error;
  const errcode = resultCode(error) === SHARED_MEMORY_FULL ? FULL : primaryCode(error);
  const text = error instanceof Error ? error.message : String(error);
  const [code, advice] = ADVICE[errcode] ?? ["SQLITE_CANNOT_OPEN", "the file cannot be opened"];
  return new OpenRefusal(code, `${path}: ${advice} (${text})`, { cause: error });
}
