import { join } from "node:path";
import type * as sqlite from "node:sqlite";
import { EmbeddedDatabaseError, EmbeddedLockedError } from "./errors.ts";
import { readOwner } from "./owner.ts";

const SQLITE_BUSY = 5;
const SQLITE_NOTADB = 26;

/**
 * One process a folder: two PGlites on one folder destroy it without a word.
 *
 * The lock is an exclusive SQLite transaction that is never committed. The operating system drops it when the
 * process dies, however it dies, so there is no stale lock to find out about, as there is with a pid file;
 * and Node has no file lock of its own. It is taken on the database's thread: it lives as long as what it guards.
 * It can be lost while its process lives; `certainOwner` in `owner.ts` is the second guard.
 */
export class FolderLock {
  #database: sqlite.DatabaseSync;

  private constructor(database: sqlite.DatabaseSync) {
    this.#database = database;
  }

  static async acquire(path: string): Promise<FolderLock> {
    const { DatabaseSync } = await importSqlite(path);
    const file = join(path, "lock.sqlite");
    let database: sqlite.DatabaseSync | undefined;
    try {
      database = new DatabaseSync(file);
      database.exec("PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE");
      return new FolderLock(database);
    } catch (error) {
      database?.close();
      const { errcode } = error as { errcode?: number };
      if (errcode === SQLITE_BUSY) throw new EmbeddedLockedError(path, readOwner(path), { cause: error });
      if (errcode === SQLITE_NOTADB) {
        throw new EmbeddedDatabaseError(
          "EMBEDDED_DAMAGED",
          path,
          `${file} is not a lock file of Taskloom. Make sure that no process uses the folder, then delete that file.`,
          { cause: error },
        );
      }
      throw new EmbeddedDatabaseError(
        "EMBEDDED_PATH",
        path,
        `Cannot lock ${path}: ${(error as Error).message}. Check that the folder is writable and on a local disk.`,
        { cause: error },
      );
    }
  }

  release(): void {
    this.#database.close();
  }
}

/** Imports `node:sqlite` without its experimental warning: nothing of it that may change is used here. */
async function importSqlite(path: string): Promise<typeof sqlite> {
  const emitWarning = process.emitWarning.bind(process);
  process.emitWarning = (warning: string | Error, ...rest: never[]) => {
    if (!String(warning).includes("SQLite")) emitWarning(warning, ...rest);
  };
  try {
    return await import("node:sqlite");
  } catch (error) {
    throw new EmbeddedDatabaseError(
      "EMBEDDED_UNSUPPORTED",
      path,
      `The embedded engine needs node:sqlite, which Node.js has from 22.13 on (this is ${process.version}). Update Node.js, or use redis:// or postgres://.`,
      { cause: error },
    );
  } finally {
    process.emitWarning = emitWarning;
  }
}
