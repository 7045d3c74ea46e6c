import { decodeValue } from "./decode.ts";
import { encodeValue } from "./encode.ts";
import type { Outcome } from "./outcome.ts";
import { WireError } from "./wire-error.ts";

/** What a submission carries to the worker, readable as it stands in a dashboard. */
export interface JobData {
  /** The version of this envelope, so that a worker can tell a newer one. */
  readonly v: 1;
  /** The version of the task that the arguments are for. */
  readonly version: number;
  /** The arguments, encoded together, so that what they share stays shared. */
  readonly args: readonly unknown[];
  /** Where the one process that waits wants the outcome sent. */
  readonly reply?: string;
  /**
   * When the job is of no more use, in milliseconds of the engine's clock: machines' own clocks differ. Set when the
   * job is sent, since that clock is not known before.
   */
  deadline?: number;
  /** Milliseconds that one attempt may run. */
  readonly timeout?: number;
  /** How long what is known of the job stays after its end, where that is not the default; milliseconds. */
  readonly keep?: { readonly completed?: number; readonly failed?: number };
  /** Many calls in one: `args` is a list of lists of arguments. */
  readonly pack?: true;
  /** The children of a flow's parent, in the order in which it gets their results. */
  readonly flow?: FlowData;
  /** What surrounded the submission: values of propagated stores, and the trace context; encoded. */
  readonly context?: unknown;
}

/** The children of a flow's parent. */
export interface FlowData {
  /** The Taskloom queue that they are in. */
  readonly queue: string;
  readonly children: readonly string[];
  /** Whether errors stand among the results, as with `gather`'s option of this name, and do not end the parent. */
  readonly returnExceptions?: true;
  /**
   * What the children came to, in their order. Set when the engine has lost the flow and the parent is added again by
   * itself: what is stored of the children then may be less than what they gave.
   */
  outcomes?: readonly Outcome[];
}

/** Encodes the arguments of a submission. */
export function encodeArguments(args: readonly unknown[]): JobData["args"] {
  const encoded = encodeValue(args, { name: "arguments" });
  // An array of plain and tagged values is an array still; only one that refers to itself would not be.
  if (!Array.isArray(encoded))
    throw new TypeError("the arguments of a task cannot refer to the list of them");
  return encoded;
}

/**
 * Decodes the arguments in a job.
 *
 * @throws {@link WireError} for what is no list of arguments, or in a pack no list of such lists.
 */
export function decodeArguments(data: JobData): unknown[] {
  const args = decodeValue(data.args);
  if (!Array.isArray(args)) throw noListAt("arguments");
  const noList = data.pack === true ? args.findIndex((item) => !Array.isArray(item)) : -1;
  if (noList >= 0) throw noListAt(`arguments[${noList}]`);
  return args;
}

function noListAt(path: string): WireError {
  return new WireError("MALFORMED", path, `The job cannot be run: its ${path} are no list; submit it again.`);
}
