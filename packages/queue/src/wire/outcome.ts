import { CancelledError } from "@taskloom/loop";
import { attempt } from "../attempt.ts";
import { decodeError, decodeValue } from "./decode.ts";
import { encodeError, encodeValue } from "./encode.ts";
import { tag } from "./format.ts";
import { storableText } from "./plain-text.ts";
import { WireError } from "./wire-error.ts";

/** How a job ended, as it is stored and as it travels to who waits; `value` and `error` are encoded. */
export type Outcome =
  | { readonly state: "completed"; readonly value: unknown }
  | { readonly state: "failed"; readonly error: unknown }
  | { readonly state: "cancelled"; readonly message?: string };

/** What BullMQ stores of a finished job, whichever engine holds it. */
export interface FinishedRecord {
  readonly failed: boolean;
  readonly returnvalue: unknown;
  readonly failedReason: string | undefined;
  readonly stacktrace: readonly string[];
}

/**
 * A cancelled job is stored as completed, with this in place of a result: BullMQ has no such state of its own, and a
 * failed one would be retried and would fail its parents.
 */
export function cancelledEnvelope(message: string | undefined): unknown {
  return message === undefined
    ? { [tag]: "cancelled" }
    : { [tag]: "cancelled", message: storableText(message) };
}

/** The outcome of a job that was cancelled, with why where that is known. */
export function cancelledOutcome(message: string | undefined): Outcome {
  return message === undefined || message === "" ? { state: "cancelled" } : { state: "cancelled", message };
}

/** The value to store for what a task returned. */
export function resultEnvelope(value: unknown): unknown {
  return encodeValue(value);
}

const errorLine = "\n    taskloom-error: ";

/** BullMQ takes an error with this message for a worker's wish to wait for its rate limit. */
const rateLimitMessage = "bullmq:rateLimitExceeded";

/**
 * Wraps what a task threw so that BullMQ stores all of it. BullMQ keeps a message and a stack of a failed job and
 * nothing else, in one step with the failure; so the whole error rides as the last line of the stack. The message and
 * the stack before that line are for people, and hold only text that every store keeps.
 */
export class StoredFailure extends Error {
  constructor(thrown: unknown, options: { readonly final: boolean }) {
    const { name, message, stack } = textsOf(thrown);
    super(message === rateLimitMessage ? `the task failed: ${message}` : message, { cause: thrown });
    // BullMQ knows an error that must not be retried by this name. Other names of its own, such as WaitingError, would
    // have it leave the job active for ever, so no name of a task's error is passed on.
    this.name = options.final || name === "UnrecoverableError" ? "UnrecoverableError" : "Error";
    this.stack = `${stack}${errorLine}${JSON.stringify(encodeError(thrown))}`;
  }
}

/** The texts of what was thrown. Getters may throw, and a message can be anything, whatever its type says. */
function textsOf(thrown: unknown): Readonly<Record<"name" | "message" | "stack", string>> {
  const read = (key: "name" | "message" | "stack", otherwise: string): string => {
    const value: unknown = attempt(() => (thrown as Error)[key], otherwise);
    return storableText(typeof value === "string" ? value : otherwise);
  };
  if (!(thrown instanceof Error)) {
    const text = storableText(asPrinted(thrown));
    return { name: "Error", message: text, stack: text };
  }
  const message = read("message", "the task failed with an error that has no readable message");
  return { name: read("name", "Error"), message, stack: read("stack", message) };
}

function asPrinted(thrown: unknown): string {
  return attempt(() => String(thrown), undefined) ?? Object.prototype.toString.call(thrown);
}

/** Reads the outcome out of a finished job's record. */
export function outcomeOf(record: FinishedRecord): Outcome {
  if (!record.failed) {
    const value = record.returnvalue;
    if (isCancelledEnvelope(value)) return cancelledOutcome(value.message);
    return { state: "completed", value };
  }
  const last = record.stacktrace.at(-1) ?? "";
  const at = last.lastIndexOf(errorLine);
  if (at >= 0) {
    try {
      return { state: "failed", error: JSON.parse(last.slice(at + errorLine.length)) };
    } catch {
      // A stack that was cut or made by something else: what BullMQ itself kept is still worth giving.
    }
  }
  return {
    state: "failed",
    error: encodeError(new Error(record.failedReason ?? "the job failed without a reason")),
  };
}

/** Whether a stored result says that the job was cancelled. */
export function isCancelledEnvelope(value: unknown): value is { readonly message?: string } {
  return (
    typeof value === "object" && value !== null && (value as Record<string, unknown>)[tag] === "cancelled"
  );
}

/** What a waiter gets: the value, or the error to throw. */
export function openOutcome(
  outcome: Outcome | undefined,
): { readonly value: unknown } | { readonly error: unknown } {
  switch (outcome?.state) {
    case "completed":
      return { value: decodeValue(outcome.value) };
    case "failed":
      return { error: decodeError(outcome.error) };
    case "cancelled":
      return {
        error: outcome.message === undefined ? new CancelledError() : new CancelledError(outcome.message),
      };
    default: // It was read from the engine, where anything can be.
      return {
        error: new WireError("MALFORMED", "outcome", "The job has ended in a way that is not known."),
      };
  }
}
