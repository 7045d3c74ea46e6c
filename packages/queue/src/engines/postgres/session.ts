import pg from "pg";

/**
 * A connection to PostgreSQL that may be lost at any moment without harm: its `error` event is never thrown. `pg-pool`
 * takes its own listener away while a client is checked out, and BullMQ adds none, so that a session that is terminated
 * between two statements would end the process.
 */
export class Session extends pg.Client {
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event === "error" && this.listenerCount("error") === 0) return false; // The next statement fails with it.
    return super.emit(event, ...args);
  }
}
