/**
 * The contract of everything that has a life, such as a queue, a worker, a pool or an engine. CONTRIBUTING.md has its
 * rules. This module is for the packages of Taskloom and is no part of what users call.
 */

/**
 * The state of something that has a life. It never goes back:
 *
 * ```
 * open ──> stopping ──> stopped
 * ```
 */
export type LifeState = "open" | "stopping" | "stopped";

/** Something that has a life. */
export interface Life extends AsyncDisposable {
  readonly state: LifeState;
}

/**
 * The life of one object: it keeps the state, and runs the object's start and stop once.
 *
 * ```ts
 * import { UsageError } from "@taskloom/loop";
 * import { Lifecycle } from "@taskloom/loop/lifecycle";
 *
 * class Door {
 *   readonly #life = new Lifecycle(() => new UsageError("DOOR_CLOSED", "The door is closed: build a new one"));
 *
 *   knock(): void {
 *     this.#life.assertOpen();
 *   }
 *
 *   close(): Promise<void> {
 *     return this.#life.stop(async () => console.log("closing")); // closing
 *   }
 * }
 *
 * const door = new Door();
 * await Promise.all([door.close(), door.close()]);
 * try {
 *   door.knock();
 * } catch (error) {
 *   console.log((error as UsageError).code); // DOOR_CLOSED
 * }
 * ```
 */
export class Lifecycle {
  readonly #refusal: () => Error;
  #state: LifeState = "open";
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  /** @param refusal makes the error with which the object refuses its use after its stop has begun. */
  constructor(refusal: () => Error) {
    this.#refusal = refusal;
  }

  get state(): LifeState {
    return this.#state;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** @throws the refusal, if the stop has begun. */
  assertOpen(): void {
    if (this.#state !== "open") throw this.#refusal();
  }

  /** @throws the refusal, if the work of the stop has begun. A stop that only waits for earlier uses allows others. */
  assertUsable(): void {
    if (this.#stopped !== undefined) throw this.#refusal();
  }

  /**
   * Runs the start once: all calls return the promise of the first one. If a start fails, the next call starts again.
   * Rejects with the refusal if the stop has begun, before the start or while it ran.
   */
  start(start: () => Promise<void>): Promise<void> {
    if (this.#state !== "open") return Promise.reject(this.#refusal());
    this.#started ??= this.#runStart(start);
    return this.#started;
  }

  async #runStart(start: () => Promise<void>): Promise<void> {
    try {
      await start();
    } catch (error) {
      this.#started = undefined;
      throw error;
    }
    this.assertOpen();
  }

  /** Resolves when no start runs, however it ended. */
  async startEnded(): Promise<void> {
    await this.#started?.catch(() => {});
  }

  /** Begins the stop without its work, for an object that first waits for its earlier uses. */
  beginStop(): void {
    if (this.#state === "open") this.#enter("stopping");
  }

  /**
   * Runs the stop once: all calls return the promise of the first one. If the stop fails, all of them reject with its
   * error, and the state is `stopped` all the same, because nothing is known of the parts that are left.
   */
  stop(stop: () => Promise<void>): Promise<void> {
    this.#stopped ??= this.#runStop(stop);
    return this.#stopped;
  }

  async #runStop(stop: () => Promise<void>): Promise<void> {
    this.beginStop();
    try {
      await stop();
    } finally {
      this.#enter("stopped");
    }
  }

  /** The one place where the state changes. */
  #enter(state: LifeState): void {
    this.#state = state;
  }
}
