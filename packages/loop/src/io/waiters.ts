import type { Loop } from "../kernel/loop.ts";
import type { Future } from "../task/future.ts";

/**
 * Tasks that wait for the same event. Each task has its own future. With one shared future, as in asyncio's
 * `wait_closed`, the cancellation of one task would cancel all.
 */
export class Waiters<T> {
  readonly #loop: Loop;
  readonly #futures = new Set<Future<T>>();

  constructor(loop: Loop) {
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
