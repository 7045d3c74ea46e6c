import { ServiceError } from "../service-error.ts";

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
    if (this.#free > 0) this.#free--;
    else if (this.#waiting.length < waitingAtMost)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else
      throw new ServiceError(
        503,
        "BUSY",
        "too many searches are waiting for their turn; ask again in a second.",
      );
    try {
      return await body();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
