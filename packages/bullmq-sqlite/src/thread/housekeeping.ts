import { statSync } from "node:fs";
import type { Store } from "../store/store.ts";

/** The time without a turn after which the thread counts as idle. */
const IDLE_MS = 500;
/** The size from which the write-ahead log is written back between two turns, too. */
const MAX_LOG_BYTES = 16 * 1_048_576;
/** The number of turns between two checks of the log's size. */
const TURNS_PER_CHECK = 32;
/** The free pages that one step returns to the file system. A step of 1,000 pages delays turns by some milliseconds. */
const PAGES_PER_STEP = 1_000;

/**
 * Keeps the files small. SQLite writes the log back after each 1,000 pages and then writes it from its beginning again,
 * but the file never gets smaller, and under the load of several processes SQLite finds no moment to write it back. When
 * the thread is idle, it empties the log and returns free pages of the database to the file system, step by step between
 * turns.
 *
 * A checkpoint does not wait. If a slow reader holds the log, the checkpoint writes back a part, and the next idle time
 * tries again.
 */
export class Housekeeping {
  readonly #store: Store;
  readonly #log: string;
  #timer: NodeJS.Timeout | undefined;
  #turns = 0;

  constructor(store: Store, path: string) {
    this.#store = store;
    this.#log = `${path}-wal`;
  }

  /** Starts the next idle time, at the end of a turn. */
  turnEnded(): void {
    if (this.#timer === undefined) this.#timer = setTimeout(() => this.#tidy(), IDLE_MS).unref();
    else this.#timer.refresh();
    if (++this.#turns < TURNS_PER_CHECK) return;
    this.#turns = 0;
    if (this.#logSize() > MAX_LOG_BYTES) this.#emptyLog();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Runs one step. Further steps follow until the log is empty and no page is free. */
  #tidy(): void {
    this.#timer = undefined;
    const hadFree = this.#freePages();
    const isEmptied = this.#emptyLog();
    if (hadFree || !isEmptied) this.#timer = setTimeout(() => this.#tidy(), hadFree ? 10 : IDLE_MS).unref();
  }

  /** Returns free pages to the file system. The result is whether there were any. */
  #freePages(): boolean {
    try {
      const free = Number(this.#store.get("PRAGMA freelist_count")?.["freelist_count"] ?? 0);
      if (free === 0) return false;
      this.#store.database.exec(`PRAGMA incremental_vacuum(${PAGES_PER_STEP})`);
      return true;
    } catch {
      return false; // Another process has its turn, or the disk is full. The next idle time tries again.
    }
  }

  /** Writes the log back and empties it. Returns false if a reader holds it. */
  #emptyLog(): boolean {
    if (this.#logSize() === 0) return true;
    try {
      return Number(this.#store.get("PRAGMA wal_checkpoint(TRUNCATE)")?.["busy"] ?? 0) === 0;
    } catch {
      return false;
    }
  }

  #logSize(): number {
    return statSync(this.#log, { throwIfNoEntry: false })?.size ?? 0;
  }
}
