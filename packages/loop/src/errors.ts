/**
 * The errors of this package. Each has a class, a stable `code`, and a message that says what to do next.
 * Cancellation and queue states are control flow and are thrown often, so a `CancelledError` captures no
 * stack (that alone is most of what it costs) unless debug mode asks for one.
 */

/** Base of every error this package throws: `code` is stable, the message may change. */
export class TaskloomError extends Error {
  /** A stable upper-case identifier of the kind of error. */
  readonly code: string;
  constructor(code: string, message?: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
Object.defineProperty(TaskloomError.prototype, "name", {
  value: "TaskloomError",
  configurable: true,
  writable: true,
});

function named(constructor: { prototype: object; name: string }): void {
  Object.defineProperty(constructor.prototype, "name", {
    value: constructor.name,
    configurable: true,
    writable: true,
  });
}

/** Whether a `CancelledError` records where it was made; debug mode switches it on. */
export const cancellationStacks: { enabled: boolean } = { enabled: false };

/**
 * Thrown at a task's current suspension when the task is cancelled. Let it pass: catching it and going on
 * swallows the cancellation.
 *
 * The message is what `cancel(message)` was given. Code: `CANCELLED`.
 */
export class CancelledError extends Error {
  /** Always `"CANCELLED"`. */
  declare readonly code: "CANCELLED";
  constructor(message?: string, options?: ErrorOptions) {
    const limit = Error.stackTraceLimit;
    if (!cancellationStacks.enabled) Error.stackTraceLimit = 0;
    super(message, options);
    Error.stackTraceLimit = limit;
  }
}
named(CancelledError);
Object.defineProperty(CancelledError.prototype, "code", { value: "CANCELLED" });

/** A deadline passed: thrown by `timeout`, `timeoutAt`, `waitFor` and `asCompleted`. Code: `TIMEOUT`. */
export class TimeoutError extends TaskloomError {
  constructor(message = "the deadline passed before the work was done", options?: ErrorOptions) {
    super("TIMEOUT", message, options);
  }
}
named(TimeoutError);

/** A future was asked for what its state does not have, or settled twice. Code: `INVALID_STATE`. */
export class InvalidStateError extends TaskloomError {
  constructor(message?: string, options?: ErrorOptions) {
    super("INVALID_STATE", message, options);
  }
}
named(InvalidStateError);

/** `getNowait()` on an empty queue. Code: `QUEUE_EMPTY`. */
export class QueueEmpty extends TaskloomError {
  constructor(message = "the queue is empty: await queue.get() instead, or try again later") {
    super("QUEUE_EMPTY", message);
  }
}
named(QueueEmpty);

/** `putNowait()` on a full queue. Code: `QUEUE_FULL`. */
export class QueueFull extends TaskloomError {
  constructor(message = "the queue is full: await queue.put(item) instead, or try again later") {
    super("QUEUE_FULL", message);
  }
}
named(QueueFull);

/** The queue was shut down while, or before, it was used. Code: `QUEUE_SHUT_DOWN`. */
export class QueueShutDown extends TaskloomError {
  constructor(message = "the queue has been shut down: put nothing more, and stop when get() throws this") {
    super("QUEUE_SHUT_DOWN", message);
  }
}
named(QueueShutDown);

/** A barrier was reset or aborted while, or before, a task waited at it. Code: `BROKEN_BARRIER`. */
export class BrokenBarrierError extends TaskloomError {
  constructor(message = "the barrier is broken: reset() it before it is used again") {
    super("BROKEN_BARRIER", message);
  }
}
named(BrokenBarrierError);

/** A stream ended before the bytes that were asked for arrived. Code: `INCOMPLETE_READ`. */
export class IncompleteReadError extends TaskloomError {
  /** What was read before the end. */
  readonly partial: Uint8Array;
  /** How many bytes were asked for; `undefined` when reading up to a separator. */
  readonly expected: number | undefined;
  constructor(partial: Uint8Array, expected?: number) {
    super(
      "INCOMPLETE_READ",
      `the stream ended after ${partial.length} of ${expected ?? "an unknown number of"} bytes; ` +
        "what was read is in `partial`",
    );
    this.partial = partial;
    this.expected = expected;
  }
}
named(IncompleteReadError);

/** A stream was written to whose connection is gone; `cause` is the error it was lost to. Code: `CONNECTION_LOST`. */
export class ConnectionLostError extends TaskloomError {
  constructor(cause: Error | null = null) {
    super(
      "CONNECTION_LOST",
      "the connection is lost: open a new one",
      cause === null ? undefined : { cause },
    );
  }
}
named(ConnectionLostError);

/** A separator was not found within a stream's limit. Code: `LIMIT_OVERRUN`. */
export class LimitOverrunError extends TaskloomError {
  /** How many bytes can be consumed before reading on. */
  readonly consumed: number;
  constructor(message: string, consumed: number) {
    super("LIMIT_OVERRUN", message);
    this.consumed = consumed;
  }
}
named(LimitOverrunError);

/** Every task waits and nothing can wake one; the message names them and what they wait for. Code: `DEADLOCK`. */
export class DeadlockError extends TaskloomError {
  constructor(message: string) {
    super("DEADLOCK", message);
  }
}
named(DeadlockError);

/** An operation that the present state does not allow: the counterpart of Python's RuntimeError; `code` tells which. */
export class UsageError extends TaskloomError {}
named(UsageError);

/** An argument of the wrong kind. Code: `INVALID_ARGUMENT`. */
export class ArgumentError extends TypeError {
  /** Always `"INVALID_ARGUMENT"`. */
  readonly code: string = "INVALID_ARGUMENT";
}
named(ArgumentError);
