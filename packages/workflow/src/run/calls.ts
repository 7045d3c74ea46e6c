import { Future } from "@taskloom/loop";
import type { EventLoop } from "@taskloom/loop";
import { TaskArgumentsError, UnrecoverableError } from "@taskloom/queue";
import type { TaskDefinition } from "@taskloom/queue";
import { backoffDelay } from "@taskloom/queue/lane";
import { decodeError, decodeValue, encodeError } from "@taskloom/queue/wire";
import type { Json } from "@taskloom/queue/wire";
import { StepInterruptedError } from "../errors.ts";
import { CANCELLED, COMPLETED, FAILED } from "../journal/entry.ts";
import type { AttemptRecord, EndRecord } from "../journal/entry.ts";
import { Seeded } from "./seeded.ts";
import type { JobStart, StepOptions, StepStart, ChildOptions } from "./host.ts";

export type CallKind = "s" | "j" | "w";

/**
 * NEW -> RUNNING when its effect starts. RUNNING -> WAITING when an attempt has failed and another follows, and back at
 * its time. A call leaves the table when its end is delivered.
 */
type CallPhase = "new" | "running" | "waiting";

/** A step, a job or a child that has not ended, with the future that the coroutine awaits. */
export class Call {
  readonly command: number;
  readonly kind: CallKind;
  readonly task: TaskDefinition;
  readonly args: Json;
  readonly issuedAt: number;
  readonly options: StepOptions & ChildOptions;
  readonly future: CallFuture;
  phase: CallPhase = "new";
  attempt = 1;
  due = 0;
  isCancelled = false;
  message: string | undefined = undefined;

  constructor(
    command: number,
    kind: CallKind,
    task: TaskDefinition,
    args: Json,
    issuedAt: number,
    options: StepOptions & ChildOptions,
    future: CallFuture,
  ) {
    this.command = command;
    this.kind = kind;
    this.task = task;
    this.args = args;
    this.issuedAt = issuedAt;
    this.options = options;
    this.future = future;
  }

  get isOnce(): boolean {
    return this.options.once === true;
  }

  /** Returns the start of the next attempt of a step. */
  stepStart(runId: string): StepStart {
    const { command, task, attempt, issuedAt, options } = this;
    const timeout = options.timeout ?? task.task.timeout;
    const args = decodeValue(this.args) as unknown[];
    const from = Math.max(issuedAt, this.due);
    const key = options.key ?? `${runId}/${command}`;
    return { command, task, args, attempt, from, timeout, key, isOnce: this.isOnce };
  }

  /** Returns the job or the child. */
  jobStart(runId: string): JobStart {
    const { command, task, args, issuedAt, options } = this;
    const id = options.id ?? `${runId}-${command}`;
    return { command, task, args, from: issuedAt, options, id, isWorkflow: this.kind === "w" };
  }

  /**
   * Returns the record of an end that has come: the end itself, or the note of a failed attempt that another one
   * follows.
   */
  admit(end: EndRecord, now: number, runId: string): EndRecord | AttemptRecord {
    if (end[1] !== FAILED || this.kind !== "s" || this.isCancelled || this.isOnce) return end;
    const attempts = this.options.attempts ?? this.task.task.attempts;
    const error = decodeError(end[2]);
    if (this.attempt >= attempts || isFinal(error)) return end;
    return [this.command, "a", this.attempt, now + this.#backoff(runId, error), end[2]];
  }

  /** The jitter is made of the attempt's name, so that the same run has one journal wherever it runs. */
  #backoff(runId: string, error: unknown): number {
    const { backoff } = this.task.task;
    if (backoff === undefined) return 0;
    const random = (): number => new Seeded(`${runId}/${this.command}/${this.attempt}`).random();
    return backoffDelay(backoff, this.attempt, error, random);
  }

  /** Settles the future with the end. The coroutine gets a value that the codec has decoded, in a first run as in a replay. */
  settle([, state, value]: EndRecord): void {
    if (state === COMPLETED) this.future.setResult(decodeValue(value));
    else if (state === FAILED) this.future.setException(decodeError(value));
    else this.future.endCancelled(typeof value === "string" ? value : undefined);
  }

  /** The end of a call that is not run, or not run again, since the coroutine has cancelled it. */
  cancelledEnd(): EndRecord {
    return [this.command, CANCELLED, this.message ?? null];
  }

  interruptedEnd(): EndRecord {
    const name = this.task.task.name;
    const error = new StepInterruptedError(
      `The worker died while step ${this.command} (${name}) ran, which may run once only: ` +
        "find out whether it has had its effect, and go on accordingly",
    );
    // A stack has paths of one worker, and the same run must have one journal.
    error.stack = `${error.name}: ${error.message}`;
    return [this.command, FAILED, encodeError(error)];
  }
}

function isFinal(error: unknown): boolean {
  return error instanceof UnrecoverableError || error instanceof TaskArgumentsError;
}

/**
 * The coroutine's side of a call. A cancel is an effect: the work is cancelled where it runs, and the future ends when
 * the work has ended, so that no scope ends before its body.
 */
export class CallFuture extends Future<unknown> {
  readonly #requestCancel: (message: string | undefined) => void;

  constructor(loop: EventLoop, requestCancel: (message: string | undefined) => void) {
    super({ loop });
    this.#requestCancel = requestCancel;
  }

  override cancel(message?: string): boolean {
    if (this.done()) return super.cancel(message);
    this.#requestCancel(message);
    return true;
  }

  endCancelled(message: string | undefined): void {
    super.cancel(message);
  }
}
