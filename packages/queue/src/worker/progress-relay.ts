import type { BullJob } from "../contract/lane-queue.ts";
import { encodeValue } from "../wire/encode.ts";

/** How often a run's progress is stored, in milliseconds; who waits has it sooner. */
const storeInterval = 100;

/** Takes a run's progress to who waits, and stores it now and then: for dashboards, and for who comes later. */
export class ProgressRelay {
  readonly #job: BullJob;
  readonly #send: (encoded: unknown) => void;
  #storedAt = -Infinity;
  #unstored: { readonly encoded: unknown } | undefined;
  /** One at a time: of two that are under way on a pool of connections, the older could be stored last. */
  #storing: Promise<void> | undefined;

  constructor(job: BullJob, send: (encoded: unknown) => void) {
    this.#job = job;
    this.#send = send;
  }

  report(value: unknown): void {
    const encoded = encodeValue(value);
    this.#send(encoded);
    this.#unstored = { encoded };
    const isDue = performance.now() - this.#storedAt >= storeInterval;
    if (isDue && this.#storing === undefined) void this.#store();
  }

  #store(): Promise<void> {
    const { encoded } = this.#unstored ?? {};
    this.#unstored = undefined;
    this.#storedAt = performance.now();
    const over = (): void => {
      this.#storing = undefined;
    };
    // One that cannot be stored is lost; the result is what counts.
    this.#storing = this.#job.updateProgress(encoded as object).then(over, over);
    return this.#storing;
  }

  /** Stores the last value before the job's end is, so that whoever sees the end sees it too; undefined when it is. */
  settled(): Promise<void> | undefined {
    if (this.#storing !== undefined) return this.#storing.then(() => this.settled());
    return this.#unstored === undefined ? undefined : this.#store();
  }
}
