import { DatabaseSync } from "node:sqlite";
import { schema, schemaVersion } from "../schema/schema.ts";
import { sharedMemoryFull } from "../schema/result-codes.ts";
import type { OpenOptions } from "./messages.ts";

/** Why a file cannot be used. */
export class OpenRefusal extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** How long SQLite itself waits for another process's lock while the file is opened; milliseconds. */
const openPatience = 5_000;

/** Opens a database file, makes its tables if it is empty, and refuses what it cannot work with. Nothing is deleted. */
export function openDatabase({ path, sync }: OpenOptions): DatabaseSync {
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(path);
  } catch (error) {
    throw refusal(path, error);
  }
  try {
    database.exec(`PRAGMA busy_timeout = ${openPatience}`);
    const version = Number(Object.values(database.prepare("PRAGMA user_version").get() ?? {})[0]);
    if (version > schemaVersion) {
      throw new OpenRefusal(
        "SQLITE_SCHEMA_NEWER",
        `${path} has layout ${version}, and this version of the package knows layouts up to ${schemaVersion}: use a newer version of the package.`,
      );
    }
    // Before the first table: a file without it never gets smaller.
    if (version === 0) database.exec("PRAGMA auto_vacuum = INCREMENTAL");
    const mode = String(Object.values(database.prepare("PRAGMA journal_mode = WAL").get() ?? {})[0]);
    if (mode !== "wal" && path !== ":memory:") {
      throw new OpenRefusal(
        "SQLITE_NO_WAL",
        `${path} is on a file system without shared memory, which SQLite's write-ahead log needs: use a local disk.`,
      );
    }
    database.exec(`PRAGMA synchronous = ${sync === "full" ? "FULL" : "NORMAL"}`);
    database.exec("PRAGMA wal_autocheckpoint = 1000");
    database.exec("PRAGMA temp_store = MEMORY");
    database.exec("PRAGMA cache_size = -8000");
    if (version === 0) makeTables(database);
    database.exec("PRAGMA busy_timeout = 0"); // From now on the thread waits by itself, and fairly.
    return database;
  } catch (error) {
    database.close();
    throw refusal(path, error);
  }
}

/** Two processes may open an empty file at once: the one that comes second finds the tables. */
function makeTables(database: DatabaseSync): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    const version = Number(Object.values(database.prepare("PRAGMA user_version").get() ?? {})[0]);
    if (version === 0) {
      database.exec(schema);
      database.exec(`PRAGMA user_version = ${schemaVersion}`);
    }
    database.exec("COMMIT");
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

/** SQLite's primary result codes, and what a person can do. */
const advice: Readonly<Record<number, readonly [code: string, advice: string]>> = {
  8: ["SQLITE_READONLY", "the file or its folder cannot be written: check its permissions"],
  10: ["SQLITE_IO", "the disk reports an error"],
  11: ["SQLITE_DAMAGED", "the file is damaged: restore a backup, or move it away to begin anew"],
  13: ["SQLITE_FULL", "the disk is full: make room"],
  14: ["SQLITE_CANNOT_OPEN", "the file cannot be opened: check that its folder is there and can be written"],
  26: ["SQLITE_DAMAGED", "the file is no SQLite database: restore a backup, or move it away to begin anew"],
};

/** The reason why a file cannot be opened, for an error of SQLite. */
export function refusal(path: string, error: unknown): OpenRefusal {
  if (error instanceof OpenRefusal) return error;
  const extended = (error as { errcode?: number }).errcode ?? 0;
  const errcode = extended === sharedMemoryFull ? 13 : extended & 0xff;
  const text = error instanceof Error ? error.message : String(error);
  const [code, what] = advice[errcode] ?? ["SQLITE_CANNOT_OPEN", "the file cannot be opened"];
  return new OpenRefusal(code, `${path}: ${what} (${text}).`, { cause: error });
}
