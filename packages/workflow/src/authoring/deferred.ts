import { Operation, UsageError } from "@taskloom/loop";

/** The parts of an iterator that an operation passes on. */
interface Inner<T> {
  next(value?: unknown): IteratorResult<never, T>;
  throw?(error: unknown): IteratorResult<never, T>;
}

/** A call that has not begun: it begins when it is awaited, as a coroutine does, and is awaited once. */
export class Deferred<T> extends Operation<T> {
  readonly #name: string;
  readonly #begin: () => Inner<T>;
  #inner: Inner<T> | null = null;

  /** @param begin makes the awaited object's iterator, such as a Future. */
  constructor(name: string, begin: () => Inner<T>) {
    super();
    this.#name = name;
    this.#begin = begin;
  }

  override [Symbol.iterator](): this {
    if (this.#inner !== null) {
      throw new UsageError(
        "COROUTINE_REUSED",
        `cannot reuse already awaited ${this.#name}(): call ${this.#name}() again`,
      );
    }
    return this;
  }

  next(value?: unknown): IteratorResult<never, T> {
    this.#inner ??= this.#begin();
    return this.#inner.next(value);
  }

  throw(error: unknown): IteratorResult<never, T> {
    const inner = this.#inner;
    if (inner?.throw === undefined) throw error;
    return inner.throw(error);
  }
}
