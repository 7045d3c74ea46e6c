import type { BullJob } from "../contract/lane-queue.ts";
import { encodeValue } from "../wire/encode.ts";

/** The progress of a run is stored at most once in this time. Waiters receive every value at once. */
const STORE_INTERVAL_MS = 100;

/** Sends the progress of a run to its waiters, and stores it at times, for dashboards and for later waiters. */
export class ProgressRelay {
  readonly #job: BullJob;
  readonly #send: (encoded: unknown) => void;
  #storedAt = -Infinity;
  #unstored: { readonly encoded: unknown } | undefined;
  /** One value is stored at a time: of two at once on a pool of connections, the older could be stored last. */
  #storing: Promise<void> | undefined;

  constructor(job: BullJob, send: (encoded: unknown) => void) {
    this.#job = job;
    this.#send = send;
  }

  report(value: unknown): void {
    const encoded = encodeValue(value);
    this.#send(encoded);
    this.#unstored = { encoded };
    const isDue = performance.now() - this.#storedAt >= STORE_INTERVAL_MS;
    if (isDue && this.#storing === undefined) void this.#store();
  }

  #store(): Promise<void> {
    const { encoded } = this.#unstored ?? {};
    this.#unstored = undefined;
    this.#storedAt = performance.now();
    const settled = (): void => {
      this.#storing = undefined;
    };
    // A value that cannot be stored is lost. Unlike the result, the job does not need it.
    this.#storing = this.#job.updateProgress(encoded as object).then(settled, settled);
    return this.#storing;
  }

  /**
   * Stores the last value, so that it is visible before the end of the job. Returns undefined if the value is stored
   * already.
   */
  settled(): Promise<void> | undefined {
    if (this.#storing !== undefined) return this.#storing.then(() => this.settled());
    return this.#unstored === undefined ? undefined : this.#store();
  }
}
