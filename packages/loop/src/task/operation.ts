import type { Steppable } from "./strand.ts";
import { awaitNatively } from "./native-await.ts";
import { awaitInline } from "./branch.ts";
import type { Strand } from "./strand.ts";

/**
 * A routine that has not started: it starts when it is awaited, in the task that awaits it, or when it is
 * made a task. The base of coroutines and of the waiting operations (queues, locks), which are written once
 * as iterators and work from both spellings. It can be awaited once.
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
  /** How `yield*` drives it. */
  abstract next(value?: unknown): IteratorResult<never, T>;
  /** How `yield*` drives it. */
  abstract throw(error: unknown): IteratorResult<never, T>;

  [Symbol.iterator](): this {
    return this;
  }

  /** Starts it, and gives a native promise of its outcome. It is what `await` calls. */
  // oxlint-disable-next-line unicorn/no-thenable -- this is what `await` calls
  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return awaitNatively<T, A, B>(this, onFulfilled, onRejected);
  }

  /** Starts it, and handles its error. */
  catch<B = never>(onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.then(null, onRejected);
  }

  /** Starts it, and calls back at its end. */
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
