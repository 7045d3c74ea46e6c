/** The types of functions that run on a thread, as the caller sees them. */
import type { Task } from "@taskloom/loop";
import type { ThreadMap } from "./thread-map.ts";
import type { ThreadStream } from "./thread-stream.ts";

/** The type of a function's awaited result: the value of a promise, or the return value of a generator coroutine. */
export type Resolved<R> = R extends Generator<unknown, infer T> ? Awaited<T> : Awaited<R>;

/** Runs a function on a thread, and returns a Task of its result. */
export interface Submit {
  <A extends unknown[], T>(fn: (...args: A) => Generator<unknown, T, never>, ...args: A): Task<Awaited<T>>;
  <A extends unknown[], R>(fn: (...args: A) => R, ...args: A): Task<Awaited<R>>;
}

declare const made: unique symbol;

/** A function of a threaded module. A call returns a Task; the type keeps the type of the function on the thread. */
export interface ThreadedFunction<A extends unknown[], R> {
  (...args: A): Task<Resolved<R>>;
  /** A member of the type alone. */
  readonly [made]: R;
}

/** Runs a producer on a thread. */
export interface StreamFrom {
  <A extends unknown[], R>(fn: ThreadedFunction<A, R>, ...args: A): ThreadStream<Streamed<R>>;
  <A extends unknown[], R>(fn: (...args: A) => R, ...args: A): ThreadStream<Streamed<R>>;
}

/** The type of the items of a producer. */
export type Streamed<R> =
  Awaited<R> extends AsyncIterable<infer T> ? T : Awaited<R> extends Iterable<infer T> ? T : never;

/** Options of `map`. */
export interface MapOptions {
  /** The number of items in a message. By default as many as take about a millisecond. */
  chunkSize?: number;
}

/** A pool with options for the calls that are made through it. */
export interface Submitter {
  readonly submit: Submit;
  map<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options?: MapOptions,
  ): ThreadMap<Resolved<R>>;
  readonly stream: StreamFrom;
}
