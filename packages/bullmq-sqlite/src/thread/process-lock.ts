import { existsSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

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

  /** Lets go of the lock, and leaves its file as a sign that the process is gone. */
  abandon(): void {
    this.#database.close();
  }
}

/**
 * Whether the process that made a lock file is gone. A file that is missing or cannot be used says nothing: somebody may
 * have deleted or overwritten it.
 */
export function isReleased(path: string): boolean {
  if (!existsSync(path)) return false;
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec("BEGIN EXCLUSIVE");
    database.exec("ROLLBACK");
    return true;
  } catch {
    return false;
  } finally {
    database?.close();
  }
}
