import { TaskloomError } from "@taskloom/loop";
import type { StandardSchemaV1 } from "@standard-schema/spec";

/**
 * The base of every error that this package raises by itself.
 *
 * `code` is stable and meant for programs; `message` says what to do next.
 *
 * @example
 * ```ts
 * import { EngineUrlError, TaskQueue, TaskloomQueueError } from "@taskloom/queue";
 *
 * try {
 *   new TaskQueue({ engine: "rabbit://localhost" });
 * } catch (error) {
 *   if (!(error instanceof TaskloomQueueError)) throw error;
 *   console.log(error instanceof EngineUrlError, error.code); // true ENGINE_URL
 * }
 * ```
 */
export class TaskloomQueueError extends TaskloomError {
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.name = new.target.name;
  }
}

/** An engine's address that names no engine. Code `ENGINE_URL`. */
export class EngineUrlError extends TaskloomQueueError {
  constructor(message: string, options?: ErrorOptions) {
    super("ENGINE_URL", message, options);
  }
}

/** An engine that does not answer, or has stopped answering. Code `ENGINE_UNAVAILABLE`. */
export class EngineUnavailableError extends TaskloomQueueError {
  constructor(message: string, options?: ErrorOptions) {
    super("ENGINE_UNAVAILABLE", message, options);
  }
}

/**
 * An address with another number of shards, or another order of servers, than the queue has. The message has the command that
 * changes the number. Code `SHARDS_DIFFER`.
 */
export class ShardsDifferError extends TaskloomQueueError {
  constructor(message: string, options?: ErrorOptions) {
    super("SHARDS_DIFFER", message, options);
  }
}

/**
 * A request about a shard that does not answer. Its jobs wait, and go on when it answers again; all other shards work. Code
 * `SHARD_DOWN`.
 */
export class ShardDownError extends TaskloomQueueError {
  constructor(message: string, options?: ErrorOptions) {
    super("SHARD_DOWN", message, options);
  }
}

/**
 * A submission for which the engine has no room: its memory or its disk is full. The job was not stored; submit it again
 * when there is room. `cause` is the engine's own error. Code `ENGINE_FULL`.
 */
export class EngineFullError extends TaskloomQueueError {
  constructor(message: string, options?: ErrorOptions) {
    super("ENGINE_FULL", message, options);
  }
}

/** A request that this engine does not support; docs/queue.md has the table. Code `ENGINE_UNSUPPORTED`. */
export class EngineUnsupportedError extends TaskloomQueueError {
  constructor(message: string, options?: ErrorOptions) {
    super("ENGINE_UNSUPPORTED", message, options);
  }
}

/** A flow's parent that cannot run, since a child of it has failed for good. Code `FLOW_CHILD_FAILED`. */
export class FlowChildFailedError extends TaskloomQueueError {
  constructor(message: string, options?: ErrorOptions) {
    super("FLOW_CHILD_FAILED", message, options);
  }
}

/** A task definition or a submission with an invalid option. Code `TASK_OPTIONS`. */
export class TaskOptionsError extends TaskloomQueueError {
  constructor(message: string, options?: ErrorOptions) {
    super("TASK_OPTIONS", message, options);
  }
}

/** A call on a queue or worker that was closed. Code `QUEUE_CLOSED`. */
export class QueueClosedError extends TaskloomQueueError {
  constructor(message: string, options?: ErrorOptions) {
    super("QUEUE_CLOSED", message, options);
  }
}

/** A job without a record at the engine, so that its result is unknown. Code `JOB_LOST`. */
export class JobLostError extends TaskloomQueueError {
  constructor(message: string, options?: ErrorOptions) {
    super("JOB_LOST", message, options);
  }
}

/** A job that is not retried, since more workers died while they ran it than its `attempts` allow. Code `WORKER_DIED`. */
export class WorkerDiedError extends TaskloomQueueError {
  constructor(message: string, options?: ErrorOptions) {
    super("WORKER_DIED", message, options);
  }
}

/**
 * The error that a task throws in order to fail for good, even if attempts are left. Code `UNRECOVERABLE`.
 *
 * @example
 * ```ts
 * import { UnrecoverableError, defineTask } from "@taskloom/queue";
 *
 * const charge = defineTask({ name: "card.charge", attempts: 5 }, async (card: string) => {
 *   if (card === "") throw new UnrecoverableError("there is no card to charge; retrying cannot help");
 * });
 * await charge("4242");
 * ```
 */
export class UnrecoverableError extends TaskloomQueueError {
  constructor(message: string, options?: ErrorOptions) {
    super("UNRECOVERABLE", message, options);
  }
}

/** Arguments that the schema of the task refuses. Code `TASK_ARGUMENTS`; `issues` has each fault with its path. */
export class TaskArgumentsError extends TaskloomQueueError {
  readonly issues: readonly StandardSchemaV1.Issue[];

  constructor(task: string, issues: readonly StandardSchemaV1.Issue[]) {
    const first = issues.map(
      ({ message, path }) => `${path === undefined ? "arguments" : pathText(path)}: ${message}`,
    );
    super("TASK_ARGUMENTS", `The arguments of task ${task} do not fit its schema: ${first.join("; ")}`);
    this.issues = issues;
  }
}

function pathText(path: NonNullable<StandardSchemaV1.Issue["path"]>): string {
  return path.map((part) => (typeof part === "object" ? String(part.key) : String(part))).join(".");
}
