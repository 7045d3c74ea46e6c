import { markAsTaskloomError, TaskloomError } from "@taskloom/loop";

/** A function cannot run on a thread; the message says why. `code` is `NOT_THREADABLE`. */
export class NotThreadableError extends TypeError {
  static {
    this.prototype.name = "NotThreadableError";
    markAsTaskloomError(this);
  }
  readonly code = "NOT_THREADABLE";
}

/** A function that was sent as its source text used a name from outside itself. `code` is `NOT_SELF_CONTAINED`. */
export class NotSelfContainedError extends ReferenceError {
  static {
    this.prototype.name = "NotSelfContainedError";
    markAsTaskloomError(this);
  }
  readonly code = "NOT_SELF_CONTAINED";
}

/**
 * A call would start threads without end. A module calls its own function on a thread at its top level, and every
 * thread that imports the module runs that top level. `code` is `THREAD_RECURSION`.
 */
export class ThreadRecursionError extends TaskloomError {
  static {
    this.prototype.name = "ThreadRecursionError";
  }
  declare readonly code: "THREAD_RECURSION";

  constructor(message?: string, options?: ErrorOptions) {
    super("THREAD_RECURSION", message, options);
  }
}

/** A value cannot cross the boundary of a thread; the message names its path. `code` is `UNCLONEABLE`. */
export class UncloneableError extends TypeError {
  static {
    this.prototype.name = "UncloneableError";
    markAsTaskloomError(this);
  }
  readonly code = "UNCLONEABLE";
  /** The path of the value, as in `arguments[0].options.agent`. */
  readonly path: string;

  constructor(path: string, what: string) {
    super(
      `${path} cannot cross to another thread: ${what}. ` +
        "Pass plain data (what structuredClone takes), or a function where the other side shall call back",
    );
    this.path = path;
  }
}

/** A transfer list has an object that cannot be moved. `code` is `UNTRANSFERABLE`. */
export class TransferError extends TypeError {
  static {
    this.prototype.name = "TransferError";
    markAsTaskloomError(this);
  }
  readonly code = "UNTRANSFERABLE";
}

/** The reason for the end of a thread; {@link ThreadDiedError} lists the reasons. */
export type ThreadDeath = "exit" | "crash" | "out-of-memory" | "start" | "stopped" | "escaped";

/**
 * The thread of a call has ended, and only this call with it. `code` is `THREAD_DIED`. The values of `reason` are:
 *
 * - `exit`: the code called `process.exit`
 * - `crash`: the thread broke
 * - `out-of-memory`: the heap of the thread was full
 * - `start`: the thread failed to start
 * - `stopped`: the pool or the object was shut down
 * - `escaped`: an error escaped from the call where nothing could catch it, such as a floating rejection or an error in
 *   a timer
 */
export class ThreadDiedError extends TaskloomError {
  static {
    this.prototype.name = "ThreadDiedError";
  }
  declare readonly code: "THREAD_DIED";
  readonly reason: ThreadDeath;
  /** The thread's exit code, if it has one. */
  readonly exitCode: number | undefined;

  constructor(message: string, reason: ThreadDeath, options: { exitCode?: number; cause?: unknown } = {}) {
    super("THREAD_DIED", message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.exitCode = options.exitCode;
  }
}

/** The pool was shut down. `code` is `POOL_CLOSED`. */
export class PoolClosedError extends TaskloomError {
  static {
    this.prototype.name = "PoolClosedError";
  }
  declare readonly code: "POOL_CLOSED";

  constructor(message?: string, options?: ErrorOptions) {
    super("POOL_CLOSED", message, options);
  }
}
