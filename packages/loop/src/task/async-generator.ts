import type { Loop } from "../kernel/loop.ts";
import { currentLoop } from "./running.ts";

/**
 * Wraps an `async function*` so that the loop knows its generators. When `run()` ends, it closes the unfinished
 * generators, so that their `finally` blocks run. Node runs none of them for a bare generator.
 *
 * ```ts
 * import { asyncGenerator, run } from "@taskloom/loop";
 *
 * const numbers = asyncGenerator(async function* () {
 *   try {
 *     for (let i = 0; ; i++) yield i;
 *   } finally {
 *     console.log("closed");
 *   }
 * });
 * await run(async () => {
 *   const generator = numbers();
 *   await generator.next();
 * }); // closed
 * ```
 */
export function asyncGenerator<A extends unknown[], T, R>(
  fn: (...args: A) => AsyncGenerator<T, R, undefined>,
): (...args: A) => AsyncGenerator<T, R, undefined> {
  const make = (...args: A): AsyncGenerator<T, R, undefined> => new Tracked(fn(...args));
  Object.defineProperty(make, "name", { value: fn.name, configurable: true });
  return make;
}

/** A generator that its loop knows from the first step to the end. */
class Tracked<T, R, N> implements AsyncGenerator<T, R, N> {
  readonly #inner: AsyncGenerator<T, R, N>;
  #loop: Loop | null = null;

  constructor(inner: AsyncGenerator<T, R, N>) {
    this.#inner = inner;
  }

  next(...args: [] | [N]): Promise<IteratorResult<T, R>> {
    if (this.#loop === null) {
      this.#loop = currentLoop();
      (this.#loop._asyncGenerators ??= new Set()).add(this);
    }
    return this.#watch(this.#inner.next(...args));
  }

  return(value: R | PromiseLike<R>): Promise<IteratorResult<T, R>> {
    return this.#watch(this.#inner.return(value));
  }

  throw(error: unknown): Promise<IteratorResult<T, R>> {
    return this.#watch(this.#inner.throw(error));
  }

  async #watch(step: Promise<IteratorResult<T, R>>): Promise<IteratorResult<T, R>> {
    let isOver = true;
    try {
      const result = await step;
      isOver = result.done === true;
      return result;
    } finally {
      if (isOver) this.#loop?._asyncGenerators?.delete(this);
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return(undefined as R);
  }
}
