import { inspect } from "node:util";
import { storableText } from "../wire/plain-text.ts";

/** The longest line in characters. Longer lines are cut, so that readers can bound the size of a page. */
const MAX_LINE = 65_536;

/** Stores the lines that a run logs. One line is stored after the other, so that every engine keeps their order. */
export class JobLog {
  readonly #store: (line: string) => Promise<unknown>;
  #tail: Promise<unknown> | undefined;

  constructor(store: (line: string) => Promise<unknown>) {
    this.#store = store;
  }

  /** Resolves when a line is stored. JavaScript callers can log any value; its printed form is stored then. */
  async write(line: unknown): Promise<void> {
    const whole = typeof line === "string" ? line : inspect(line);
    const text = storableText(
      whole.length <= MAX_LINE ? whole : `${whole.slice(0, MAX_LINE)}… (cut: ${whole.length} characters)`,
    );
    const written = this.#tail === undefined ? this.#store(text) : this.#tail.then(() => this.#store(text));
    const tail = written
      .catch(() => {}) // The caller of `write` receives the error.
      .then(() => {
        if (this.#tail === tail) this.#tail = undefined;
      });
    this.#tail = tail;
    await written;
  }

  /**
   * Resolves when every line is stored, so that the lines are visible before the end of the job. Returns undefined if
   * all lines are stored already.
   */
  settled(): Promise<unknown> | undefined {
    return this.#tail;
  }
}
