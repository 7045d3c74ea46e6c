import pg from "pg";

/**
 * A connection to PostgreSQL whose `error` event is never thrown, so its loss at any moment does no harm. `pg-pool` removes
 * its own listener while a client is in use, and BullMQ adds none, so a session that is terminated between two statements
 * would end the process.
 */
export class Session extends pg.Client {
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event === "error" && this.listenerCount("error") === 0) return false; // The next statement fails with it.
    return super.emit(event, ...args);
  }
}
