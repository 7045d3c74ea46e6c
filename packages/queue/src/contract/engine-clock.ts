/** The difference between a server's clock and this machine's clock. */
export class EngineClock {
  /** The lead of the server's clock, in milliseconds. */
  offset = 0;
  #trip = Infinity;

  /** Measures the difference. `ask` returns the server's time, in milliseconds of the epoch. */
  async read(ask: () => Promise<number>): Promise<void> {
    const before = Date.now();
    const theirs = await ask();
    const trip = Date.now() - before;
    // A reading is exact if its round trip was short. A slow reading replaces a good one only after several slow ones.
    if (trip > 2 * this.#trip + 10) {
      this.#trip *= 2;
      return;
    }
    this.#trip = trip;
    this.offset = theirs - (before + trip / 2);
  }
}
