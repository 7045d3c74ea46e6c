import type { Engine } from "@taskloom/queue";
import type { ShardsReport } from "@taskloom/queue/operating";

/** The shortest time between two readings, in milliseconds. */
const SHORTEST_PAUSE_MS = 5_000;
/** The pause after a reading, as a multiple of its duration. */
const PAUSE_FACTOR = 10;

const NONE: ShardsReport = { count: 0, earlier: [], shards: [], left: 0 };

/** The shards of an engine at the time of a reading. */
export interface ShardsView extends ShardsReport {
  /** The time of the reading, in milliseconds since 1970. */
  readonly readAt: number;
}

/**
 * The shards of an engine for many readers. During a change of their number, a reading walks through the ids of all jobs.
 * Readers therefore receive the last report, and a reading takes at most a tenth of the time.
 */
export class KnownShards {
  readonly #engine: Engine;
  #last: ShardsView | undefined;
  #nextAt = 0;
  #reading: Promise<ShardsView> | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Returns the shards; none if the address of the engine names none. */
  async read(): Promise<ShardsView> {
    if (performance.now() >= this.#nextAt) this.#reading ??= this.#read();
    // A reader that comes during a long walk receives the report before it.
    return this.#last ?? (await (this.#reading ??= this.#read()));
  }

  #read(): Promise<ShardsView> {
    const begun = performance.now();
    const reading = this.#report().finally(() => {
      const ended = performance.now();
      this.#nextAt = ended + Math.max(SHORTEST_PAUSE_MS, PAUSE_FACTOR * (ended - begun));
      this.#reading = undefined;
    });
    // A reader that received the last report does not await this reading.
    reading.catch(() => (this.#last = undefined));
    return reading;
  }

  async #report(): Promise<ShardsView> {
    const report = (await this.#engine.readShards?.()) ?? NONE;
    return (this.#last = { ...report, readAt: Date.now() });
  }
}
