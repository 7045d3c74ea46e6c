import { existsSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { primaryCode } from "../schema/result-codes.ts";

/**
 * A lock that a process holds until its end, and that the operating system releases however the process ends. The lock
 * is an exclusive transaction on a file of its own. A process never opens its own lock file a second time: when a process
 * closes any descriptor of a file, POSIX drops all its locks on that file.
 */
export class ProcessLock {
  readonly path: string;
  readonly #database: DatabaseSync;

  constructor(path: string) {
    this.path = path;
    this.#database = new DatabaseSync(path);
    this.#database.exec("BEGIN EXCLUSIVE");
  }

  release(): void {
    this.#database.close();
    rmSync(this.path, { force: true });
  }

  /** Releases the lock and leaves its file, as a sign for other processes that this process is gone. */
  abandon(): void {
    this.#database.close();
  }
}

/** SQLite's result code for a file that another connection has locked. */
const BUSY = 5;

/** The state of another process's lock. It is unknown if the file is missing or is no lock file any more. */
export type LockState = "held" | "released" | "unknown";

/** Returns the state of the lock of another process. */
export function lockState(path: string): LockState {
  if (!existsSync(path)) return "unknown";
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec("BEGIN EXCLUSIVE");
    database.exec("ROLLBACK");
    return "released";
  } catch (error) {
    return primaryCode(error) === BUSY ? "held" : "unknown";
  } finally {
    database?.close();
  }
}
