import { Lifecycle } from "@taskloom/loop/lifecycle";
import type { Life, LifeState } from "@taskloom/loop/lifecycle";
import type { Queue } from "bullmq";
import { closedEngine } from "../contract/closed-engine.ts";
import { EngineClock } from "../contract/engine-clock.ts";
import type { LaneQueue } from "../contract/lane-queue.ts";

/** The part of an {@link Engine} that all engines on BullMQ have in common. */
export abstract class BullEngine implements Life {
  abstract readonly url: string;
  readonly isLocal = false;
  protected readonly life: Lifecycle = new Lifecycle(() => this.refusal());
  protected readonly clock: EngineClock = new EngineClock();
  #downSince: number | undefined;

  abstract openQueue(name: string): Queue;

  /** Connects for the first time. */
  protected abstract open(): Promise<void>;

  connect(): Promise<void> {
    return this.life.start(() => this.open());
  }

  get state(): LifeState {
    return this.life.state;
  }

  close(): Promise<void> {
    return this.life.stop(() => this.shut());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Closes the connections, once. */
  protected abstract shut(): Promise<void>;

  /** Returns the error of a use after `close()`. */
  protected refusal(): Error {
    return closedEngine(this.url);
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
