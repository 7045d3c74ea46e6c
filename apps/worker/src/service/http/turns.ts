import type { EventEmitter } from "node:events";
import { ServiceError } from "../../errors/service-error.ts";

/** How many requests may wait for their turn; more are told so at once. */
const waitingAtMost = 50;

/**
 * Lets only so many heavy requests, such as searches, run at once: the others wait, and what is small and quick is
 * answered between them.
 */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /** @throws ServiceError when too many wait already. */
  async take<T>(body: () => Promise<T>): Promise<T> {
    await this.#begin();
    try {
      return await body();
    } finally {
      this.#end();
    }
  }

  /** For a request whose handler is not ours: resolves at its turn, which lasts until the answer is sent or cut. */
  async enter(answer: Pick<EventEmitter, "once">): Promise<void> {
    const isClosed = { now: false };
    answer.once("close", () => (isClosed.now = true));
    await this.#begin();
    if (isClosed.now) this.#end();
    else answer.once("close", () => this.#end());
  }

  async #begin(): Promise<void> {
    if (this.#free > 0) this.#free--;
    else if (this.#waiting.length < waitingAtMost)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else
      throw new ServiceError(
        503,
        "BUSY",
        "too many requests that read much are waiting for their turn; ask again in a second.",
      );
  }

  #end(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
