import type { EventLoop } from "../kernel/event-loop.ts";
import type { Future } from "../task/future.ts";

/**
 * Tasks that wait for one and the same thing. Each has a future of its own: with a shared one, as asyncio's
 * `wait_closed` has it, the first that is cancelled would cancel all the others.
 */
export class Waiters<T> {
  readonly #loop: EventLoop;
  readonly #futures = new Set<Future<T>>();

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  *wait(): Generator<never, T, unknown> {
    const future = this.#loop.createFuture<T>();
    this.#futures.add(future);
    try {
      return yield* future;
    } finally {
      this.#futures.delete(future);
    }
  }

  succeed(value: T): void {
    for (const future of this.#futures) if (!future.done()) future.setResult(value);
  }

  fail(error: Error): void {
    for (const future of this.#futures) if (!future.done()) future.setException(error);
  }
}
