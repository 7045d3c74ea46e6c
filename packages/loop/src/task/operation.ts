import type { Steppable } from "./strand.ts";
import { awaitNatively } from "./native-await.ts";
import { awaitInline } from "./branch.ts";
import type { Strand } from "./strand.ts";

/**
 * A routine that has not started. It starts in the task that awaits it, or as a task of its own, and can be awaited
 * once. Coroutines and the operations of queues and locks extend this class. They are written once, as iterators,
 * and work in both spellings.
 *
 * ```ts
 * import { Operation, Queue, run } from "@taskloom/loop";
 *
 * const queue = new Queue<string>();
 * const put = queue.put("later"); // nothing has happened yet
 * console.log(put instanceof Operation, queue.size); // true 0
 * await run(put);
 * console.log(queue.size); // 1
 * ```
 */
export abstract class Operation<T> implements Steppable {
  /** Called by `yield*`. */
  abstract next(value?: unknown): IteratorResult<never, T>;
  /** Called by `yield*`. */
  abstract throw(error: unknown): IteratorResult<never, T>;

  [Symbol.iterator](): this {
    return this;
  }

  /** Starts the operation, and returns a native promise of its outcome. `await` calls this method. */
  // oxlint-disable-next-line unicorn/no-thenable -- `await` calls this method
  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return awaitNatively<T, A, B>(this, onFulfilled, onRejected);
  }

  /** Starts the operation, and handles its error. */
  catch<B = never>(onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.then(null, onRejected);
  }

  /** Starts the operation, and calls `onFinally` at its end. */
  finally(onFinally?: (() => void) | null): Promise<T> {
    return this.then().finally(onFinally);
  }

  /** @internal */
  _awaitFrom(
    strand: Strand | null,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ): void {
    awaitInline(this, strand, resolve, reject);
  }
}
