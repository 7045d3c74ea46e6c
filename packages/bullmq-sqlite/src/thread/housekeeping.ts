import { statSync } from "node:fs";
import type { Store } from "../store/store.ts";

/** The thread is idle when no turn has come for this long; milliseconds. */
const idleAfter = 500;
/** A write-ahead log of this size is written back between two turns, too; bytes. */
const logAtMost = 16 * 1_048_576;
/** After so many turns the size of the log is looked at. */
const turnsBetweenLooks = 32;
/** How many free pages one step gives back to the file system: a step of 1,000 holds others up for some milliseconds. */
const pagesAtOnce = 1_000;

/**
 * Keeps the files small. SQLite itself writes the log back each 1,000 pages and then uses it from its beginning, but it
 * never makes it smaller, and under load of several processes it finds no moment for it. When the thread is idle, the
 * log is emptied and free pages of the database are given back, step by step between turns.
 *
 * A checkpoint waits for nobody: while a slow reader holds the log it does what it can, and is tried again later.
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

  /** A turn has ended: another idle time begins. */
  turnEnded(): void {
    if (this.#timer === undefined) this.#timer = setTimeout(() => this.#tidy(), idleAfter).unref();
    else this.#timer.refresh();
    if (++this.#turns < turnsBetweenLooks) return;
    this.#turns = 0;
    if (this.#logSize() > logAtMost) this.#emptyLog();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** One step; the next one follows after another idle time, until there is nothing left to do. */
  #tidy(): void {
    this.#timer = undefined;
    const hadFree = this.#giveBack();
    const isEmptied = this.#emptyLog();
    if (hadFree || !isEmptied) this.#timer = setTimeout(() => this.#tidy(), hadFree ? 10 : idleAfter).unref();
  }

  /** Gives free pages back; whether there were any. */
  #giveBack(): boolean {
    try {
      const free = Number(this.#store.get("PRAGMA freelist_count")?.["freelist_count"] ?? 0);
      if (free === 0) return false;
      this.#store.database.exec(`PRAGMA incremental_vacuum(${pagesAtOnce})`);
      return true;
    } catch {
      return false; // Another process has its turn, or the disk is full: the next idle time tries again.
    }
  }

  /** Writes the log back and empties it; false while somebody reads from it. */
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
