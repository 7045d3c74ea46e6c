import { markAsTaskloomError, TaskloomError } from "@taskloom/loop";

/** A function that cannot be run on a thread, and why. `code` is `NOT_THREADABLE`. */
export class NotThreadableError extends TypeError {
  static {
    this.prototype.name = "NotThreadableError";
    markAsTaskloomError(this);
  }
  readonly code = "NOT_THREADABLE";
}

/** A function sent by its source text used a name that only exists outside it. `code` is `NOT_SELF_CONTAINED`. */
export class NotSelfContainedError extends ReferenceError {
  static {
    this.prototype.name = "NotSelfContainedError";
    markAsTaskloomError(this);
  }
  readonly code = "NOT_SELF_CONTAINED";
}

/**
 * A call that would start threads without end: a module calls its own function on a thread at its top level,
 * which every thread runs that imports the module. `code` is `THREAD_RECURSION`.
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

/** A value that cannot cross a thread boundary; the message names its path. `code` is `UNCLONEABLE`. */
export class UncloneableError extends TypeError {
  static {
    this.prototype.name = "UncloneableError";
    markAsTaskloomError(this);
  }
  readonly code = "UNCLONEABLE";
  /** Where it is, as in `arguments[0].options.agent`. */
  readonly path: string;

  constructor(path: string, what: string) {
    super(
      `${path} cannot cross to another thread: ${what}. ` +
        "Pass plain data (what structuredClone takes), or a function where the other side shall call back",
    );
    this.path = path;
  }
}

/** A transfer list with something in it that cannot be moved. `code` is `UNTRANSFERABLE`. */
export class TransferError extends TypeError {
  static {
    this.prototype.name = "TransferError";
    markAsTaskloomError(this);
  }
  readonly code = "UNTRANSFERABLE";
}

/** Why a thread is gone. */
export type ThreadDeath = "exit" | "crash" | "out-of-memory" | "start" | "stopped" | "escaped";

/**
 * The thread that ran a call is gone, and the call with it; nothing else is. `reason` says how: the code
 * called `process.exit` ("exit"), the thread broke ("crash"), its heap was full ("out-of-memory"), it never
 * came up ("start"), the pool or object was shut down ("stopped"), or an error escaped from the call where
 * nobody could catch it ("escaped": a floating rejection, a throw in a timer). `code` is `THREAD_DIED`.
 */
export class ThreadDiedError extends TaskloomError {
  static {
    this.prototype.name = "ThreadDiedError";
  }
  declare readonly code: "THREAD_DIED";
  readonly reason: ThreadDeath;
  /** The thread's exit code, where it has one. */
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
