import { ServiceError } from "../../errors/service-error.ts";
import { onClosed } from "./on-closed.ts";
import type { Closable } from "./on-closed.ts";

/** The requests that may wait for their turn. Further requests are refused. */
const MAX_WAITING = 50;

/** Limits the heavy requests, such as searches, that run at once, so that small requests are answered between them. */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /**
   * Runs `body` at its turn, and returns its result.
   *
   * @throws {@link ServiceError} with the code `BUSY` if too many requests wait.
   */
  async take<T>(body: () => Promise<T>): Promise<T> {
    await this.#begin();
    try {
      return await body();
    } finally {
      this.#end();
    }
  }

  /** Resolves at the turn of a request whose handler is not ours. The turn lasts until the answer is sent or cut. */
  async enter(answer: Closable): Promise<void> {
    const isClosed = { now: false };
    onClosed(answer, () => (isClosed.now = true));
    await this.#begin();
    if (isClosed.now) this.#end();
    else onClosed(answer, () => this.#end());
  }

  async #begin(): Promise<void> {
    if (this.#free > 0) this.#free--;
    else if (this.#waiting.length < MAX_WAITING)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else
      throw new ServiceError(
        503,
        "BUSY",
        "Too many large requests wait for their turn; send this one again in a second",
      );
  }

  #end(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
