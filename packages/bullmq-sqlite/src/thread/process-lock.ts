import { existsSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

/** SQLite's result codes for a file that another process has locked. */
const busyCodes = new Set([5, 6]);

/**
 * A lock that its process holds for life, and that the operating system releases when it dies, however it dies: an
 * exclusive transaction on a file of its own. A process never opens the lock file of its own a second time, because
 * POSIX drops all locks of a process on a file when it closes any of its descriptors for that file.
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
}

/** Whether the process that made a lock file is gone. A missing file says nothing: somebody may have deleted it. */
export function isReleased(path: string): boolean {
  if (!existsSync(path)) return false;
  const database = new DatabaseSync(path);
  try {
    database.exec("BEGIN EXCLUSIVE");
    database.exec("ROLLBACK");
    return true;
  } catch (error) {
    if (busyCodes.has(Number((error as { errcode?: number }).errcode ?? 0) & 0xff)) return false;
    throw error;
  } finally {
    database.close();
  }
}
