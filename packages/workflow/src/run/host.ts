import type { Json } from "@taskloom/queue/wire";
import type { SubmitOptions, TaskDefinition } from "@taskloom/queue";
import type { Delivery } from "../journal/entry.ts";

/** The options of one step. */
export interface StepOptions {
  /** The number of attempts in all; by default the task's. */
  readonly attempts?: number;
  /** Milliseconds that one attempt may run; by default the task's. */
  readonly timeout?: number;
  /**
   * Whether the step runs at most once. It then has one attempt, and if its worker dies while it is under way, it ends
   * with a StepInterruptedError instead of running again. Default false: a step runs at least once.
   */
  readonly once?: boolean;
  /** The idempotency key that the step sees; by default the run's id and the number of the step. */
  readonly key?: string;
}

/**
 * The options of one job or child workflow: those of `queue.with()`. The id is by default one that is made of the run's id and
 * the number of the command, and no other key is needed for the job to be added once.
 */
export interface ChildOptions extends Omit<SubmitOptions, "deduplicate" | "keep" | "signal"> {
  /** The queue of the job; by default that of the run. */
  readonly queue?: string;
}

/** One attempt of a step that is to begin now. */
export interface StepStart {
  readonly command: number;
  readonly task: TaskDefinition;
  /** The arguments, decoded anew for each attempt: a step may change them. */
  readonly args: unknown[];
  /** The number of this attempt, from 1. */
  readonly attempt: number;
  /** The time from which on the attempt was to run, in milliseconds since 1970: later starts are those after a crash. */
  readonly from: number;
  readonly key: string;
  /** Milliseconds that this attempt may run; undefined for no limit. */
  readonly timeout: number | undefined;
  /** Whether the step runs at most once. Its command is stored. */
  readonly isOnce: boolean;
}

/** A job or a child workflow that is to be added. The id is the same at each call, so a second addition changes nothing. */
export interface JobStart {
  readonly command: number;
  readonly task: TaskDefinition;
  readonly isWorkflow: boolean;
  /** The encoded list of arguments. */
  readonly args: Json;
  /** The time of the tick that asked for it, in milliseconds since 1970. */
  readonly from: number;
  readonly id: string;
  readonly options: ChildOptions;
}

/** The end of a step, a job, a child, or an update: the value and the error are encoded. */
export type EncodedOutcome =
  | { readonly state: "completed"; readonly value: Json }
  | { readonly state: "failed"; readonly error: Json }
  | { readonly state: "cancelled"; readonly message?: string };

/**
 * The place in which a run lives, as far as the run calls it: a worker, or a test. No method may throw or call the run; the calls come from
 * within `tick`, `live` and `release`.
 *
 * The ends of steps, jobs and children go back by `tick` as an EndRecord. A step that was cancelled ends with one, too.
 */
export interface RunHost {
  /** Begins an attempt of a step. A failure is reported as any end is: the run decides on another attempt. */
  startStep(step: StepStart): void;
  /** Adds a job, unless it is there. */
  submit(job: JobStart): void;
  /** Cancels a step, a job or a child that was started; its end is delivered as any other. */
  cancel(command: number, message: string | undefined): void;
  /** Sends the answer to an update. */
  answer(update: string, outcome: EncodedOutcome): void;
  /** Receives a line of `currentRun().log`. It is not called for lines that a replay repeats. */
  log(line: string): void;
  /** Receives a warning for people, such as a history near its bound or an error that no code read. */
  warn(warning: { readonly code: string; readonly message: string }): void;
}

/** The end of a run. */
export type RunEnd =
  | EncodedOutcome
  | {
      readonly state: "continued";
      readonly name: string;
      readonly version: number;
      readonly args: Json;
      /** Signals and updates that this history consumed and never read: the first deliveries of the next one. */
      readonly carried: readonly Delivery[];
    };

/** The result of one tick. */
export interface TickResult {
  /** The text to append at the position `run.length - 1`; null if the tick has changed nothing that a replay needs. */
  readonly entry: string | null;
  /**
   * Whether the entry may wait for the next append: nothing is lost but time if it is never stored. The entry of the
   * first tick is such a one, unless it asks for a `once` step, and so is a timer's tick that asks for nothing. The
   * effects of such an entry may be released before it is stored.
   */
  readonly isDeferrable: boolean;
  /**
   * The time at which the run wants its next tick without a delivery, in milliseconds since 1970; undefined if only a
   * delivery can wake it. It can be the time of this tick: then the next tick is due as soon as possible.
   */
  readonly wakeAt: number | undefined;
  /** The views that this tick has set, to be stored with the entry. */
  readonly views: ReadonlyMap<string, Json>;
  /** The end of the run, to be stored with or after the entry. */
  readonly end: RunEnd | undefined;
  /** Whether steps, jobs or children are under way, or a step waits for its next attempt. */
  readonly pending: number;
}
