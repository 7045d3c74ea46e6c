import type { Database } from "./database.ts";

/** The longest time of a timer of Node. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Waits for a change of a queue, for a limited time. The wait can be cancelled. */
export class Bell {
  readonly #database: Database;
  readonly #queue: string;
  readonly #kind: "jobs" | "events";
  #ring: (() => void) | undefined;

  constructor(database: Database, queue: string, kind: "jobs" | "events") {
    this.#database = database;
    this.#queue = queue;
    this.#kind = kind;
  }

  /**
   * Resolves with true when the queue has changed, and with false when `ms` have passed or the wait was cancelled.
   *
   * @param check is called after the wait has begun to listen, so it finds earlier changes without a gap. It can also
   *   shorten the wait to `within` milliseconds.
   */
  wait(
    ms: number,
    check?: () => Promise<{ readonly isNew: boolean; readonly within?: number }>,
  ): Promise<boolean> {
    return new Promise((resolve) => {
      let timer = setTimeout(() => end(false), Math.min(ms, MAX_TIMER_MS));
      const listener = (queue: string | undefined): void => {
        if (queue === undefined || queue === this.#queue) end(true);
      };
      const end = (isNew: boolean): void => {
        clearTimeout(timer);
        this.#database.off(this.#kind, listener);
        this.#ring = undefined;
        resolve(isNew);
      };
      this.#ring = () => end(false);
      this.#database.on(this.#kind, listener);
      check?.().then(
        ({ isNew, within }) => {
          if (this.#ring === undefined) return;
          if (isNew) end(true);
          else if (within !== undefined && within < ms) {
            clearTimeout(timer);
            timer = setTimeout(() => end(false), Math.min(Math.max(within, 0), MAX_TIMER_MS));
          }
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
