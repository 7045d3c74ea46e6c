import { CancelledError } from "@taskloom/loop";
import { valueOr } from "../value-or.ts";
import { decodeValue } from "./decode.ts";
import { decodeFailure, withAttempt } from "./failed-attempt.ts";
import type { StoredAttempt } from "./failed-attempt.ts";
import { encodeError } from "./encode.ts";
import { TAG } from "./format.ts";
import { storableText } from "./plain-text.ts";
import { WireError } from "./wire-error.ts";

/** The end of a job, as it is stored and as it is sent to the submitter; `value` and `error` are encoded. */
export type Outcome =
  | { readonly state: "completed"; readonly value: unknown }
  | { readonly state: "failed"; readonly error: unknown }
  | { readonly state: "cancelled"; readonly message?: string };

/** The fields of a finished job that BullMQ stores, on every engine. */
export interface FinishedRecord {
  readonly failed: boolean;
  readonly returnvalue: unknown;
  readonly failedReason: string | undefined;
  readonly stacktrace: readonly string[];
}

/**
 * Returns the value that is stored as the result of a cancelled job. BullMQ has no state for cancelled jobs, and a
 * failed job would be retried and would fail its parents. A cancelled job is therefore stored as completed.
 */
export function cancelledEnvelope(message: string | undefined): unknown {
  return message === undefined
    ? { [TAG]: "cancelled" }
    : { [TAG]: "cancelled", message: storableText(message) };
}

/** Returns the outcome of a cancelled job, with the reason if it is known. */
export function cancelledOutcome(message: string | undefined): Outcome {
  return message === undefined || message === "" ? { state: "cancelled" } : { state: "cancelled", message };
}

/** The last line of a stored stack begins with this text; the encoded error follows. */
const ERROR_LINE = "\n    taskloom-error: ";

/** A worker of BullMQ does not fail a job whose error has this message, but waits for its rate limit. */
const RATE_LIMIT_MESSAGE = "bullmq:rateLimitExceeded";

/**
 * The error by which a run fails. BullMQ stores the message and the stack of a failed job and nothing else, in one step
 * with the failure. The thrown error is therefore encoded in the last line of the stack. The message and the stack
 * before that line are for people, and hold only text that every engine stores.
 */
export class StoredFailure extends Error {
  /** The milliseconds before the next attempt, if BullMQ's rules do not know them. */
  readonly retryAfter: number | undefined;
  /** The thrown error, encoded, with the attempt that it has ended. */
  readonly encoded: unknown;

  constructor(
    thrown: unknown,
    options: {
      readonly final: boolean;
      readonly retryAfter?: number | undefined;
      readonly attempt?: StoredAttempt | undefined;
    },
  ) {
    const { name, message, stack } = textsOf(thrown);
    super(message === RATE_LIMIT_MESSAGE ? `The task failed: ${message}` : message, { cause: thrown });
    // By the name UnrecoverableError, a lane's worker recognizes an error that is not retried, as BullMQ does. For other
    // names, such as WaitingError, it would leave the job active for ever, so the name of a task's error is never passed on.
    this.name = options.final || name === "UnrecoverableError" ? "UnrecoverableError" : "Error";
    this.retryAfter = options.retryAfter;
    this.encoded = withAttempt(encodeError(thrown), options.attempt);
    this.stack = `${stack}${ERROR_LINE}${JSON.stringify(this.encoded)}`;
  }
}

/** Returns the texts of a thrown value. Getters may throw, and whatever its type says, a message can be any value. */
function textsOf(thrown: unknown): Readonly<Record<"name" | "message" | "stack", string>> {
  if (!(thrown instanceof Error)) {
    const text = storableText(asPrinted(thrown));
    return { name: "Error", message: text, stack: text };
  }
  const read = (key: "name" | "message" | "stack", fallback: string): string => {
    const value: unknown = valueOr(() => thrown[key], fallback);
    return storableText(typeof value === "string" ? value : fallback);
  };
  const message = read("message", "The task failed with an error that has no readable message");
  return { name: read("name", "Error"), message, stack: read("stack", message) };
}

function asPrinted(thrown: unknown): string {
  return valueOr(() => String(thrown), undefined) ?? Object.prototype.toString.call(thrown);
}

/** Returns the outcome that the record of a finished job holds. */
export function outcomeOf(record: FinishedRecord): Outcome {
  if (!record.failed) return outcomeOfResult(record.returnvalue);
  const last = record.stacktrace.at(-1) ?? "";
  const at = last.lastIndexOf(ERROR_LINE);
  if (at >= 0) {
    try {
      return { state: "failed", error: JSON.parse(last.slice(at + ERROR_LINE.length)) };
    } catch {
      // The stack was cut, or another client wrote it. BullMQ's own message is still useful.
    }
  }
  return {
    state: "failed",
    error: encodeError(new Error(record.failedReason ?? "The job failed without a reason")),
  };
}

/** Returns the outcome of a job that is stored as completed with this result. */
export function outcomeOfResult(result: unknown): Outcome {
  return isCancelledEnvelope(result)
    ? cancelledOutcome(result.message)
    : { state: "completed", value: result };
}

/** Whether a stored result marks the job as cancelled. */
export function isCancelledEnvelope(value: unknown): value is { readonly message?: string } {
  return typeof value === "object" && value !== null && Reflect.get(value, TAG) === "cancelled";
}

/** The result of a job for its waiters: the value, or the error to throw. */
export type OpenedOutcome = { readonly value: unknown } | { readonly error: unknown };

/** Decodes an outcome. */
export function openOutcome(outcome: Outcome | undefined): OpenedOutcome {
  switch (outcome?.state) {
    case "completed":
      return { value: decodeValue(outcome.value) };
    case "failed":
      return { error: decodeFailure(outcome.error) };
    case "cancelled":
      return {
        error: outcome.message === undefined ? new CancelledError() : new CancelledError(outcome.message),
      };
    default: // An outcome comes from the engine, where other clients can have stored any value.
      return {
        error: new WireError("MALFORMED", "outcome", "Expected the outcome of a job, got an unknown state"),
      };
  }
}
