import { primaryCode } from "../schema/result-codes.ts";
import type { Store } from "../store/store.ts";

/** SQLite's result codes for a database that another process has locked. */
const BUSY_CODES = new Set([5, 6]);
/** The limit of the time for which a turn waits for other processes before its operations fail. */
const BUSY_PATIENCE_MS = 30_000;
/** The limits of the first pause and of all later pauses between two attempts to begin. */
const FIRST_PAUSE_MS = 0.1;
const LAST_PAUSE_MS = 1.2;

const pause = new Int32Array(new SharedArrayBuffer(4));

/**
 * Begins a transaction, and waits for another process's turn to end. SQLite's own waiting is not fair: with eight busy
 * processes the poorest had a twentieth of its share; with short random pauses it has three quarters. The first pauses
 * are as short as a small turn.
 */
function beginPatiently(store: Store, isReading: boolean): void {
  const until = Date.now() + BUSY_PATIENCE_MS;
  for (let limit = FIRST_PAUSE_MS; ; limit = Math.min(2 * limit, LAST_PAUSE_MS)) {
    try {
      return store.begin(isReading);
    } catch (error) {
      if (!BUSY_CODES.has(primaryCode(error)) || Date.now() > until) throw error;
    }
    Atomics.wait(pause, 0, 0, limit * (0.25 + 0.75 * Math.random()));
  }
}

/**
 * Runs a body in one transaction, for which it waits while other processes have theirs; returns the body's result.
 *
 * @param isReading whether the body only reads.
 */
export function inTransaction<T>(store: Store, body: () => T, isReading = false): T {
  try {
    beginPatiently(store, isReading);
    const result = body();
    store.commit();
    return result;
  } catch (error) {
    store.rollback();
    throw error;
  }
}
