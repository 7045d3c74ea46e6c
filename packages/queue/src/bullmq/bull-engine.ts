import type { Queue } from "bullmq";
import { EngineClock } from "../contract/engine-clock.ts";
import type { LaneQueue } from "../contract/lane-queue.ts";

/** The part of an {@link Engine} that all engines on BullMQ have in common. */
export abstract class BullEngine {
  readonly isLocal = false;
  protected readonly clock: EngineClock = new EngineClock();
  #connecting: Promise<void> | undefined;
  #downSince: number | undefined;

  abstract openQueue(name: string): Queue;

  /** Connects for the first time. */
  protected abstract open(): Promise<void>;

  connect(): Promise<void> {
    this.#connecting ??= this.open().catch((error: unknown) => {
      this.#connecting = undefined; // The next call tries again: the server may be up by then.
      throw error;
    });
    return this.#connecting;
  }

  /** Waits until a connection that is being opened is open or has failed. */
  protected async untilOpened(): Promise<void> {
    await this.#connecting?.catch(() => {});
  }

  openLane(name: string): LaneQueue {
    return this.openQueue(name);
  }

  defer(callback: () => void): void {
    process.nextTick(callback);
  }

  get clockOffset(): number {
    return this.clock.offset;
  }

  now(): number {
    return Date.now() + this.clock.offset;
  }

  downFor(): number {
    return this.#downSince === undefined ? 0 : performance.now() - this.#downSince;
  }

  /** Records whether the engine answers; {@link downFor} counts from the first time that it does not. */
  protected recordAnswer(answers: boolean): void {
    if (answers) this.#downSince = undefined;
    else this.#downSince ??= performance.now();
  }
}
