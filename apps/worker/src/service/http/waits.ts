import { onClosed } from "./on-closed.ts";
import type { Closable } from "./on-closed.ts";
import { setTimeout as delay } from "node:timers/promises";
import { ServiceError } from "../../errors/service-error.ts";

/** The shortest interval at which a wait polls its job. */
const POLL_INTERVAL_MS = 250;
/** The polls of all waits in a second; each poll takes a few commands of the engine. */
const MAX_POLLS_PER_SECOND = 500;

/** One event stream, or one request that waits for a job's end. */
export interface Wait {
  /** Aborted when the service stops or the client has gone. The wait then polls once more, answers and ends. */
  readonly over: AbortSignal;
  /** The milliseconds until the next poll. */
  readonly pause: number;
  /** Ends the wait, like the end of its answer does. A second call does nothing. */
  leave(): void;
}

/** The open event streams and waiting requests. Their number is bounded, because each of them polls its job. */
export class Waits {
  readonly #atMost: number;
  readonly #open = new Set<AbortController>();
  readonly #over = Promise.withResolvers<void>();
  #isClosing = false;

  constructor(atMost: number) {
    this.#atMost = atMost;
  }

  /** @throws {@link ServiceError} with the code `TOO_MANY_STREAMS` if too many are open. */
  enter(answer: Closable): Wait {
    if (this.#open.size >= this.#atMost) {
      throw new ServiceError(
        503,
        "TOO_MANY_STREAMS",
        `${this.#atMost} event streams and waiting requests are open, and --max-streams allows no more; send the request again in a second, or without wait`,
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
    onClosed(answer, leave);
    // The random part of a quarter separates the polls of streams that were opened at the same time.
    const pause = (): number =>
      Math.max(POLL_INTERVAL_MS, (1_000 * this.#open.size) / MAX_POLLS_PER_SECOND) *
      (0.75 + Math.random() / 2);
    return {
      over: over.signal,
      get pause() {
        return pause();
      },
      leave,
    };
  }

  /** Asks all waits to end, and resolves when they have ended. */
  close(): Promise<void> {
    this.#isClosing = true;
    if (this.#open.size === 0) this.#over.resolve();
    for (const over of this.#open) over.abort();
    return this.#over.promise;
  }
}

/** Resolves after so many milliseconds, or when the signal is aborted. */
export function pauseUntil(milliseconds: number, signal: AbortSignal): Promise<undefined> {
  return delay(milliseconds, undefined, { signal, ref: false }).catch(() => undefined);
}
