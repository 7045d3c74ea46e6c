import type { Database } from "./database.ts";

/** The longest time of a timer of Node. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Waits for an event of a queue, for a limited time. The wait can be cancelled. */
export class Bell {
  readonly #database: Database;
  readonly #queue: string;
  #ring: (() => void) | undefined;

  constructor(database: Database, queue: string) {
    this.#database = database;
    this.#queue = queue;
  }

  /**
   * Resolves with true when there is a new event, and with false when `ms` have passed or the wait was cancelled.
   *
   * @param isThere is called after the wait has begun to listen, so it finds earlier events without a gap.
   */
  wait(ms: number, isThere: () => Promise<boolean>): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => end(false), Math.min(ms, MAX_TIMER_MS));
      const listener = (queue: string | undefined): void => {
        if (queue === undefined || queue === this.#queue) end(true);
      };
      const end = (isNew: boolean): void => {
        clearTimeout(timer);
        this.#database.off("events", listener);
        this.#ring = undefined;
        resolve(isNew);
      };
      this.#ring = () => end(false);
      this.#database.on("events", listener);
      this.#database.listen();
      isThere().then(
        (isNew) => {
          if (isNew && this.#ring !== undefined) end(true);
        },
        () => {}, // The wait goes on until its time is over.
      );
    });
  }

  /** Ends the current wait. */
  cancel(): void {
    this.#ring?.();
  }
}
