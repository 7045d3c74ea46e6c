/**
 * The errors of this package. Each has a class, a stable `code`, and a message that says what to do next.
 * Cancellation and queue states are control flow and are thrown often. A `CancelledError` therefore captures
 * no stack, because the stack would be most of its cost.
 */

/** A registered symbol, so that two copies of this module (in a bundle and in a thread, for example) share it. */
const BRAND = Symbol.for("taskloom.error");

/**
 * The base class of the errors of all packages. `code` is stable, the message may change.
 *
 * Some errors keep a built-in base class because that class says what is wrong: an `ArgumentError` is a
 * `TypeError`. `error instanceof TaskloomError` holds for them, too.
 *
 * `CancelledError` is apart, as asyncio's `CancelledError` is not an `Exception`: code that handles errors
 * must let a cancellation pass.
 *
 * ```ts
 * import { ArgumentError, CancelledError, TaskloomError, TimeoutError } from "@taskloom/loop";
 *
 * const error: TaskloomError = new TimeoutError();
 * console.log(error.code, error instanceof TaskloomError); // TIMEOUT true
 * console.log(new ArgumentError() instanceof TaskloomError); // true
 * console.log(new CancelledError() instanceof TaskloomError); // false
 * ```
 */
export class TaskloomError extends Error {
  /** Subclasses inherit this method; for them the prototype chain alone decides. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return super[Symbol.hasInstance](value) || (this === TaskloomError && isBranded(value));
  }

  /** A stable upper-case identifier of the kind of error. */
  readonly code: string;
  constructor(code: string, message?: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
named(TaskloomError);

function isBranded(value: unknown): boolean {
  return value instanceof Error && BRAND in value;
}

/**
 * Makes `error instanceof TaskloomError` hold for the errors of a class that has a built-in base class.
 *
 * ```ts
 * import { markAsTaskloomError, TaskloomError } from "@taskloom/loop";
 *
 * class NegativeError extends RangeError {
 *   readonly code = "NEGATIVE";
 * }
 * markAsTaskloomError(NegativeError);
 * console.log(new NegativeError() instanceof TaskloomError); // true
 * ```
 */
export function markAsTaskloomError(
  errorClass: abstract new (...args: never[]) => Error & { readonly code: string },
): void {
  Object.defineProperty(errorClass.prototype, BRAND, { value: true });
}

function named(constructor: { prototype: object; name: string }): void {
  Object.defineProperty(constructor.prototype, "name", {
    value: constructor.name,
    configurable: true,
    writable: true,
  });
}

/**
 * Thrown at a task's current suspension when the task is cancelled. Let it pass: code that catches the error
 * and goes on swallows the cancellation.
 *
 * It is no {@link TaskloomError}, so that code that handles every TaskloomError does not handle a
 * cancellation by accident. The message is the one of `cancel(message)`. Code: `CANCELLED`.
 *
 * ```ts
 * import { CancelledError, createTask, run, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const task = createTask(async () => {
 *     try {
 *       await sleep(60_000);
 *     } catch (error) {
 *       if (error instanceof CancelledError) console.log("cleaning up"); // cleaning up
 *       throw error;
 *     }
 *   });
 *   await sleep(1);
 *   task.cancel();
 *   await task.catch((error: CancelledError) => console.log(error.code)); // CANCELLED
 * });
 * ```
 */
export class CancelledError extends Error {
  /** Always `"CANCELLED"`. */
  declare readonly code: "CANCELLED";
  constructor(message?: string, options?: ErrorOptions) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message, options);
    Error.stackTraceLimit = limit;
  }
}
named(CancelledError);
Object.defineProperty(CancelledError.prototype, "code", { value: "CANCELLED" });

/**
 * The error of `timeout`, `timeoutAt`, `waitFor` and `asCompleted` when a deadline has passed. Code: `TIMEOUT`.
 *
 * ```ts
 * import { run, sleep, TimeoutError, waitFor } from "@taskloom/loop";
 *
 * await run(() => waitFor(sleep(60_000), 5)).catch((error) => {
 *   console.log(error instanceof TimeoutError); // true
 * });
 * ```
 */
export class TimeoutError extends TaskloomError {
  constructor(message = "The deadline passed before the work was done", options?: ErrorOptions) {
    super("TIMEOUT", message, options);
  }
}
named(TimeoutError);

/**
 * The error for reading an outcome that a future does not have, and for settling a future twice. Code:
 * `INVALID_STATE`.
 *
 * ```ts
 * import { Future, InvalidStateError } from "@taskloom/loop";
 *
 * const future = new Future<number>();
 * future.setResult(1);
 * try {
 *   future.setResult(2);
 * } catch (error) {
 *   console.log(error instanceof InvalidStateError); // true
 * }
 * ```
 */
export class InvalidStateError extends TaskloomError {
  constructor(message?: string, options?: ErrorOptions) {
    super("INVALID_STATE", message, options);
  }
}
named(InvalidStateError);

/**
 * The error of `getNowait()` on an empty queue. Code: `QUEUE_EMPTY`.
 *
 * ```ts
 * import { Queue, QueueEmpty } from "@taskloom/loop";
 *
 * try {
 *   new Queue().getNowait();
 * } catch (error) {
 *   console.log(error instanceof QueueEmpty); // true
 * }
 * ```
 */
export class QueueEmpty extends TaskloomError {
  constructor(message = "The queue is empty: await queue.get() instead, or try again later") {
    super("QUEUE_EMPTY", message);
  }
}
named(QueueEmpty);

/**
 * The error of `putNowait()` on a full queue. Code: `QUEUE_FULL`.
 *
 * ```ts
 * import { Queue, QueueFull } from "@taskloom/loop";
 *
 * try {
 *   const queue = new Queue<number>(1);
 *   queue.putNowait(1);
 *   queue.putNowait(2);
 * } catch (error) {
 *   console.log(error instanceof QueueFull); // true
 * }
 * ```
 */
export class QueueFull extends TaskloomError {
  constructor(message = "The queue is full: await queue.put(item) instead, or try again later") {
    super("QUEUE_FULL", message);
  }
}
named(QueueFull);

/**
 * The error of a queue that was shut down before a call or during it. Code: `QUEUE_SHUT_DOWN`.
 *
 * ```ts
 * import { Queue, QueueShutDown } from "@taskloom/loop";
 *
 * try {
 *   const queue = new Queue<number>();
 *   queue.shutdown();
 *   queue.putNowait(1);
 * } catch (error) {
 *   console.log(error instanceof QueueShutDown); // true
 * }
 * ```
 */
export class QueueShutDown extends TaskloomError {
  constructor(
    message = "The queue has been shut down: put no more items, and stop when get() throws this error",
  ) {
    super("QUEUE_SHUT_DOWN", message);
  }
}
named(QueueShutDown);

/**
 * The error of a barrier that was reset or aborted before a wait or during it. Code: `BROKEN_BARRIER`.
 *
 * ```ts
 * import { Barrier, BrokenBarrierError, createTask, run, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const barrier = new Barrier(2);
 *   const waiting = createTask(barrier.wait());
 *   await sleep(0);
 *   await barrier.abort();
 *   await waiting.catch((error) => console.log(error instanceof BrokenBarrierError)); // true
 * });
 * ```
 */
export class BrokenBarrierError extends TaskloomError {
  constructor(message = "The barrier is broken: reset() it before you use it again") {
    super("BROKEN_BARRIER", message);
  }
}
named(BrokenBarrierError);

/**
 * The error of a read if the stream ended before the requested bytes arrived. Code: `INCOMPLETE_READ`.
 *
 * ```ts
 * import { IncompleteReadError, run, StreamReader } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const reader = new StreamReader();
 *   reader.feedData(Buffer.from("ab"));
 *   reader.feedEof();
 *   await reader.readExactly(4).catch((error: IncompleteReadError) => {
 *     console.log(error instanceof IncompleteReadError, error.partial.length, error.expected); // true 2 4
 *   });
 * });
 * ```
 */
export class IncompleteReadError extends TaskloomError {
  /** The bytes that were read before the end. */
  readonly partial: Uint8Array;
  /** The number of requested bytes; `undefined` for a read up to a separator. */
  readonly expected: number | undefined;
  constructor(partial: Uint8Array, expected?: number) {
    super(
      "INCOMPLETE_READ",
      `The stream ended after ${partial.length} of ${expected ?? "an unknown number of"} bytes: ` +
        "find the bytes that were read in `partial`",
    );
    this.partial = partial;
    this.expected = expected;
  }
}
named(IncompleteReadError);

/**
 * The error of a write to a stream without a connection. `cause` is the error that ended the connection, if there
 * is one. Code: `CONNECTION_LOST`.
 *
 * ```ts
 * import { ConnectionLostError } from "@taskloom/loop";
 *
 * const error = new ConnectionLostError(new Error("reset by peer"));
 * console.log(error.code, (error.cause as Error).message); // CONNECTION_LOST reset by peer
 * ```
 */
export class ConnectionLostError extends TaskloomError {
  constructor(cause: Error | null = null) {
    super(
      "CONNECTION_LOST",
      "The connection is lost: open a new one",
      cause === null ? undefined : { cause },
    );
  }
}
named(ConnectionLostError);

/**
 * The error of a read that found no separator within the stream's limit. Code: `LIMIT_OVERRUN`.
 *
 * ```ts
 * import { LimitOverrunError, run, StreamReader } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const reader = new StreamReader({ limit: 4 });
 *   reader.feedData(Buffer.from("much too long"));
 *   await reader.readUntil("\\n").catch((error) => console.log(error instanceof LimitOverrunError)); // true
 * });
 * ```
 */
export class LimitOverrunError extends TaskloomError {
  /** The number of bytes that can be consumed before the next read. */
  readonly consumed: number;
  constructor(message: string, consumed: number) {
    super("LIMIT_OVERRUN", message);
    this.consumed = consumed;
  }
}
named(LimitOverrunError);

/**
 * The error of a run in which every task waits and nothing can wake a task. The message names the tasks and the
 * objects that they wait for. Code: `DEADLOCK`.
 *
 * ```ts
 * import { DeadlockError, Future, run } from "@taskloom/loop";
 * import { virtualClock } from "@taskloom/loop/testing";
 *
 * await run(() => new Future(), { clock: virtualClock() }).catch((error) => {
 *   console.log(error instanceof DeadlockError); // true
 * });
 * ```
 */
export class DeadlockError extends TaskloomError {
  constructor(message: string) {
    super("DEADLOCK", message);
  }
}
named(DeadlockError);

/**
 * The error of an operation that the present state does not allow, as Python's RuntimeError. `code` names the kind.
 *
 * ```ts
 * import { getRunningLoop, UsageError } from "@taskloom/loop";
 *
 * try {
 *   getRunningLoop();
 * } catch (error) {
 *   console.log(error instanceof UsageError, (error as UsageError).code); // true NO_RUNNING_LOOP
 * }
 * ```
 */
export class UsageError extends TaskloomError {}
named(UsageError);

/**
 * The error of an invalid argument. Code: `INVALID_ARGUMENT`.
 *
 * ```ts
 * import { ArgumentError, sleep } from "@taskloom/loop";
 *
 * try {
 *   sleep("soon" as never);
 * } catch (error) {
 *   console.log(error instanceof ArgumentError, (error as ArgumentError).code); // true INVALID_ARGUMENT
 * }
 * ```
 */
export class ArgumentError extends TypeError {
  /** Always `"INVALID_ARGUMENT"`. */
  readonly code: string = "INVALID_ARGUMENT";
}
named(ArgumentError);
markAsTaskloomError(ArgumentError);
