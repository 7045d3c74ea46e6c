import { registerErrorClasses, TaskloomError } from "@taskloom/loop";

/** The base of every error that this package raises by itself. `code` is stable; `message` says what to do next. */
export class WorkflowError extends TaskloomError {
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.name = new.target.name;
  }
}

/** An invalid option of this package. Code `WORKFLOW_OPTIONS`. */
export class WorkflowOptionsError extends WorkflowError {
  constructor(message: string) {
    super("WORKFLOW_OPTIONS", message);
  }
}

/** A use of a function of durable coroutines at a place where it has no meaning. Code `WORKFLOW_USAGE`. */
export class WorkflowUsageError extends WorkflowError {
  constructor(message: string) {
    super("WORKFLOW_USAGE", message);
  }
}

/**
 * The code of a workflow does not follow the recorded history of a run. The run has not failed: it goes on with code
 * that fits. Code `REPLAY_DIVERGED`.
 */
export class ReplayDivergedError extends WorkflowError {
  /** The number of the tick, from 0. */
  readonly tick: number;
  /** The time of the tick, in milliseconds since 1970. */
  readonly time: number;
  constructor(message: string, tick: number, time: number) {
    super("REPLAY_DIVERGED", message);
    this.tick = tick;
    this.time = time;
  }
}

/** A run whose history has reached its bound. Code `HISTORY_FULL`. */
export class HistoryFullError extends WorkflowError {
  constructor(message: string) {
    super("HISTORY_FULL", message);
  }
}

/** A `once` step that was under way when its worker died, so that nobody knows whether it has had its effect. Code `STEP_INTERRUPTED`. */
export class StepInterruptedError extends WorkflowError {
  constructor(message: string) {
    super("STEP_INTERRUPTED", message);
  }
}

/** A body of `undoing` that failed, and compensations of it that failed, too. `errors` has theirs, `cause` the body's. Code `UNDO_FAILED`. */
export class UndoFailedError extends WorkflowError {
  readonly errors: readonly unknown[];
  constructor(message: string, errors: readonly unknown[], options: ErrorOptions) {
    super("UNDO_FAILED", message, options);
    this.errors = errors;
  }
}

/** A run that has ended: it reads no signal any more, and answers no update. Code `RUN_ENDED`. */
export class RunEndedError extends WorkflowError {
  constructor(message: string) {
    super("RUN_ENDED", message);
  }
}

/** There is no run of an id. Code `RUN_UNKNOWN`. */
export class RunUnknownError extends WorkflowError {
  constructor(message: string) {
    super("RUN_UNKNOWN", message);
  }
}

/** A delivery that a run has no room for, because it has not read 10 000 others. Code `RUN_FULL`. */
export class RunFullError extends WorkflowError {
  constructor(message: string) {
    super("RUN_FULL", message);
  }
}

registerErrorClasses({
  HistoryFullError,
  ReplayDivergedError,
  RunEndedError,
  RunFullError,
  RunUnknownError,
  StepInterruptedError,
  UndoFailedError,
  WorkflowOptionsError,
  WorkflowUsageError,
});
