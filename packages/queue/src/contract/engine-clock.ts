/** How far a server's clock is from this machine's. */
export class EngineClock {
  /** Milliseconds that the server's is ahead. */
  offset = 0;
  #trip = Infinity;

  /** Asks the server for its time, in milliseconds of the epoch. */
  async read(ask: () => Promise<number>): Promise<void> {
    const before = Date.now();
    const theirs = await ask();
    const trip = Date.now() - before;
    // A reading is as exact as its trip is short: a slow one does not replace a good one, until that is old.
    if (trip > 2 * this.#trip + 10) {
      this.#trip *= 2;
      return;
    }
    this.#trip = trip;
    this.offset = theirs - (before + trip / 2);
  }
}
