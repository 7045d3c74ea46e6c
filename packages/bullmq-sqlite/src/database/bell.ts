import type { Database } from "./database.ts";

/** The longest that a timer of Node's waits; milliseconds. */
const timerAtMost = 2 ** 31 - 1;

/** Waits until the database tells of something new for a queue, or until the time is over, or until it is cancelled. */
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
   * Resolves with true when there was something new, and with false when `ms` have passed. `look` is called once it
   * listens: what was there before rings too, and a shorter time can be set.
   */
  wait(
    ms: number,
    look?: () => Promise<{ readonly isNew: boolean; readonly within?: number }>,
  ): Promise<boolean> {
    return new Promise((resolve) => {
      let timer = setTimeout(() => end(false), Math.min(ms, timerAtMost));
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
      look?.().then(
        ({ isNew, within }) => {
          if (this.#ring === undefined) return;
          if (isNew) end(true);
          else if (within !== undefined && within < ms) {
            clearTimeout(timer);
            timer = setTimeout(() => end(false), Math.min(Math.max(within, 0), timerAtMost));
          }
        },
        () => {}, // The wait ends in its time.
      );
    });
  }

  /** Ends the wait that is under way. */
  cancel(): void {
    this.#ring?.();
  }
}
