import { ConnectionLostError } from "../errors.ts";
import type { Loop } from "../kernel/loop.ts";
import type { Future } from "../task/future.ts";
import { Waiters } from "./waiters.ts";

/** Flow control as an operation to wait for: the part of a protocol that a StreamWriter needs. */
export class FlowControl {
  readonly #loop: Loop;
  #isPaused = false;
  #isLost = false;
  #error: Error | null = null;
  /**
   * Created on demand: most connections never wait, and an empty Set would double the size of this object.
   */
  #drains: Set<Future<undefined>> | null = null;
  #closed: Waiters<void> | null = null;

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    for (const drain of this.#drains ?? []) if (!drain.done()) drain.setResult(undefined);
    this.#drains?.clear();
  }

  lost(error: Error | null): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#error = error;
    for (const drain of this.#drains ?? []) {
      if (drain.done()) continue;
      if (error === null) drain.setResult(undefined);
      else drain.setException(error);
    }
    this.#drains?.clear();
    if (error === null) this.#closed?.succeed();
    else this.#closed?.fail(error);
  }

  /**
   * Returns the future that a drain waits for, or null if there is room.
   *
   * @throws {@link ConnectionLostError} if the connection is lost.
   */
  drain(): Future<undefined> | null {
    if (this.#isLost) throw new ConnectionLostError(this.#error);
    if (!this.#isPaused) return null;
    const drain = this.#loop.createFuture<undefined>();
    (this.#drains ??= new Set()).add(drain);
    return drain;
  }

  stopDraining(drain: Future<undefined>): void {
    this.#drains?.delete(drain);
  }

  /**
   * Waits for the end of the connection.
   *
   * @throws the error that ended it.
   */
  *waitClosed(): Generator<never, void, unknown> {
    if (!this.#isLost) yield* (this.#closed ??= new Waiters(this.#loop)).wait();
    else if (this.#error !== null) throw this.#error;
  }
}
