import type { ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { ServiceError } from "../../errors/service-error.ts";

/** How often a wait looks at its job at least, in milliseconds. */
const lookInterval = 250;
/** How many looks all waits together may take a second: each is a few commands of the engine. */
const looksAtMost = 500;

/** One event stream, or one request that waits for a job's end. */
export interface Wait {
  /** Aborted when the service closes or the client has gone: the wait looks once more, answers and ends. */
  readonly over: AbortSignal;
  /** How long to pause until the next look, in milliseconds. */
  readonly pause: number;
  /** Ends the wait, as the end of its answer does; a second call does nothing. */
  leave(): void;
}

/**
 * The event streams and waiting requests that are open. Their number is bounded, since each looks at its job again and
 * again: more of them get an answer at once that says so.
 */
export class Waits {
  readonly #atMost: number;
  readonly #open = new Set<AbortController>();
  readonly #over = Promise.withResolvers<void>();
  #isClosing = false;

  constructor(atMost: number) {
    this.#atMost = atMost;
  }

  /** @throws ServiceError when too many are open. */
  enter(answer: ServerResponse): Wait {
    if (this.#open.size >= this.#atMost) {
      throw new ServiceError(
        503,
        "TOO_MANY_STREAMS",
        `${this.#atMost} event streams and waiting requests are open, and --max-streams allows no more; ask again in a second, or without wait.`,
      );
    }
    const over = new AbortController();
    this.#open.add(over);
    if (this.#isClosing) over.abort();
    const leave = (): void => {
      if (!this.#open.delete(over)) return;
      over.abort();
      if (this.#isClosing && this.#open.size === 0) this.#over.resolve();
    };
    answer.once("close", leave);
    // Spread by a quarter either way: streams that were opened at once would look at once for ever.
    const pause = (): number =>
      Math.max(lookInterval, (1_000 * this.#open.size) / looksAtMost) * (0.75 + Math.random() / 2);
    return {
      over: over.signal,
      get pause() {
        return pause();
      },
      leave,
    };
  }

  /** Asks all waits to end; resolves when they have. */
  close(): Promise<void> {
    this.#isClosing = true;
    if (this.#open.size === 0) this.#over.resolve();
    for (const over of this.#open) over.abort();
    return this.#over.promise;
  }
}

/** Waits so many milliseconds, or until the signal is aborted. */
export function pauseUntil(milliseconds: number, signal: AbortSignal): Promise<undefined> {
  return delay(milliseconds, undefined, { signal, ref: false }).catch(() => undefined);
}
