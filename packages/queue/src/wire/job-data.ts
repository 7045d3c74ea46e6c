import { decodeValue } from "./decode.ts";
import { encodeValue } from "./encode.ts";
import type { Outcome } from "./outcome.ts";
import { WireError } from "./wire-error.ts";

/** The data of a job, which its submitter writes and its worker reads. A dashboard shows it as it is. */
export interface JobData {
  /** The version of this envelope. A worker runs no job with a newer one. */
  readonly v: 1;
  /** The version of the task for which the arguments were made. */
  readonly version: number;
  /** The arguments, encoded together, so that a value that two of them share stays shared. */
  readonly args: readonly unknown[];
  /** The address to which the outcome is sent: that of the one process that waits. */
  readonly reply?: string;
  /**
   * The time after which the result is of no use, in milliseconds of the engine's clock, since the clocks of machines
   * differ. It is set when the job is sent: the engine's clock is not known before.
   */
  deadline?: number;
  /** Milliseconds that one attempt may run. */
  readonly timeout?: number;
  /** The retention of the job after its end, in milliseconds, where it is not the default. */
  readonly keep?: { readonly completed?: number; readonly failed?: number };
  /** The tags of the submission, for operators. */
  readonly tags?: readonly string[];
  /** The key under which the limits of the task count the job, if the submission named one. */
  readonly limitKey?: string;
  /** Set for a pack: `args` then holds one list of arguments for each call. */
  readonly pack?: true;
  /** The children of a flow's parent, in the order of their results. */
  readonly flow?: FlowData;
  /** The context of the submission: the values of propagated stores, and the trace context; encoded. */
  readonly context?: unknown;
  /** The durable run that has submitted the job. The end of the job is delivered to its inbox. */
  readonly run?: ParentRun;
  /** The beginning of the history of a durable run that was continued under its id. */
  readonly continued?: ContinuedRun;
  /** The place of a durable run at its last retry. */
  readonly retried?: RetriedRun;
  /** The times of a schedule that is paused. Only the template of a schedule has it. */
  readonly paused?: PausedTimes;
}

/** The times that a paused schedule has when it goes on, by BullMQ's names. */
export interface PausedTimes {
  readonly pattern?: string;
  readonly every?: number;
  readonly tz?: string;
  readonly endDate?: number;
}

/**
 * The place at which a durable run had failed before it was retried. A run whose code has failed begins its present history
 * anew; one that is not at its end goes on, and its workers that had died are not counted any more.
 */
export interface RetriedRun {
  readonly generation: number;
  readonly length: number;
  readonly deaths: number;
}

/** The place in a durable run to which the end of a job belongs. */
export interface ParentRun {
  /** The name of the lane of the run at the engine. */
  readonly lane: string;
  /** The id under which the run is stored. */
  readonly id: string;
  /** The number of the command. */
  readonly n: number;
  /** The history of the run that has submitted the job; absent for the first one. */
  readonly generation?: number;
}

/** The beginning of a history that follows another one. */
export interface ContinuedRun {
  /** The time of its first tick, in milliseconds of the engine's clock. */
  readonly at: number;
  /** The signals and updates that the history before has consumed and not read. */
  readonly carried: readonly unknown[];
}

/** The children of a flow's parent. */
export interface FlowData {
  /** The Taskloom queue of the children. */
  readonly queue: string;
  /** The ids of the children. */
  readonly children: readonly string[];
  /** Whether the errors of children are passed to the parent as results, as in `gather`, and do not end it. */
  readonly returnExceptions?: true;
  /**
   * The outcomes of the children, in their order. Set if the engine has lost the flow, and the submitter adds the
   * parent again by itself: the engine may then have fewer outcomes than the submitter knows.
   */
  outcomes?: readonly Outcome[];
}

/**
 * Returns whether the stored data of a job is that of a submission: every version of a submission has a number `v`. Other
 * data comes from BullMQ's own client.
 */
export function isSubmission(data: unknown): data is JobData {
  return typeof data === "object" && data !== null && "v" in data && typeof data.v === "number";
}

/**
 * Encodes the arguments of a submission.
 *
 * @throws {@link WireError} for an argument that cannot be sent, TypeError for arguments that refer to their own list.
 */
export function encodeArguments(args: readonly unknown[]): JobData["args"] {
  const encoded = encodeValue(args, { name: "arguments" });
  // An array is encoded as an array, unless it refers to itself.
  if (!Array.isArray(encoded)) throw new TypeError("The arguments of a task cannot refer to their own list");
  return encoded;
}

/**
 * Decodes the arguments in a job; for a pack, the list of arguments of each call.
 *
 * @throws {@link WireError} if the data has no list of arguments, or a pack holds an item that is not a list.
 */
export function decodeArguments(data: JobData): unknown[] {
  const args = decodeValue(data.args);
  if (!Array.isArray(args)) throw notAList("arguments");
  const noList = data.pack === true ? args.findIndex((item) => !Array.isArray(item)) : -1;
  if (noList >= 0) throw notAList(`arguments[${noList}]`);
  return args;
}

function notAList(path: string): WireError {
  return new WireError("MALFORMED", path, `Expected ${path} of the job to be a list; submit the job again`);
}
