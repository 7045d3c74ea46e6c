import { inspect } from "node:util";
import { storableText } from "../wire/plain-text.ts";

/** A longer line is cut, so that whoever reads lines knows how large they are; characters. */
const longestLine = 65_536;

/** Stores the lines that a run logs, one after the other, so that they keep their order at every engine. */
export class JobLog {
  readonly #store: (line: string) => Promise<unknown>;
  #tail: Promise<unknown> | undefined;

  constructor(store: (line: string) => Promise<unknown>) {
    this.#store = store;
  }

  /** A job without types may log anything; what is not a text is logged as it prints. */
  async write(line: unknown): Promise<void> {
    const whole = typeof line === "string" ? line : inspect(line);
    const text = storableText(
      whole.length <= longestLine
        ? whole
        : `${whole.slice(0, longestLine)}… (cut: ${whole.length} characters)`,
    );
    const written = this.#tail === undefined ? this.#store(text) : this.#tail.then(() => this.#store(text));
    const tail = written
      .catch(() => {}) // Whoever wrote it hears of it.
      .then(() => {
        if (this.#tail === tail) this.#tail = undefined;
      });
    this.#tail = tail;
    await written;
  }

  /** Ends when every line is stored, so that whoever sees the job's end sees them too; undefined when all are. */
  settled(): Promise<unknown> | undefined {
    return this.#tail;
  }
}
