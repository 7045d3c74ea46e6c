import {
  ArgumentError,
  BrokenBarrierError,
  CancelledError,
  Future,
  InvalidStateError,
  QueueEmpty,
  QueueFull,
  QueueShutDown,
  TimeoutError,
  UsageError,
} from "@taskloom/loop";

import { UNRETRIEVED } from "../../packages/loop/src/task/states.ts";
import type { Catch } from "./program.ts";

/** The error that programs raise. */
export class Boom extends Error {
  override name = "Boom";
}

/** The value of a `return` statement, on its way to the end of its function. */
export class Return {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** Formats values, errors and futures for a trace. */
export class Writer {
  readonly #labels = new Map<unknown, string>();
  readonly #errors = new Map<unknown, number>();

  name(future: unknown, label: string): void {
    this.#labels.set(future, label);
  }

  knows(future: unknown): boolean {
    return this.#labels.has(future);
  }

  label(future: unknown): string {
    return this.#labels.get(future) ?? "?";
  }

  #identity(error: unknown): number {
    let known = this.#errors.get(error);
    if (known === undefined) this.#errors.set(error, (known = this.#errors.size));
    return known;
  }

  error(error: unknown): string {
    const name =
      error instanceof AggregateError
        ? `Group[${error.errors.map((each) => this.error(each)).join(", ")}]`
        : errorName(error);
    const identity = this.#identity(error);
    const cause = error instanceof TimeoutError && error.cause !== undefined;
    return `${name}#${identity}${cause ? ` from ${this.error(error.cause)}` : ""}`;
  }

  value(value: unknown): string {
    if (value === undefined || value === null) return "null";
    if (value instanceof Error) return this.error(value);
    if (Array.isArray(value)) return `[${value.map((each) => this.value(each)).join(", ")}]`;
    if (value instanceof Future) return this.label(value);
    // Python's acquire returns True; ours returns an object that releases the lock.
    if (typeof value === "object" && "release" in value) return "true";
    return `${value as string | number | boolean}`;
  }

  final(future: Future<unknown>): string {
    if (!future.done()) return "pending";
    const unseen = isUnseen(future) ? " unseen" : "";
    let error: unknown;
    try {
      error = future.exception();
    } catch (cancelled) {
      return `cancelled ${this.error(cancelled)}`;
    }
    return error ? `!${this.error(error)}${unseen}` : `=${this.value(future.result())}`;
  }
}

/** Whether the future failed and its error was never retrieved: Python's `_log_traceback`. */
export function isUnseen(future: Future<unknown>): boolean {
  return future._state === UNRETRIEVED;
}

export function cancelledError(message: string | null): CancelledError {
  return message === null ? new CancelledError() : new CancelledError(message);
}

/** Whether an `except` of this kind catches the error. */
export function catches(kind: Catch | null, error: unknown): boolean {
  switch (kind) {
    case null:
      return false;
    case "all":
      return true;
    case "error":
      return !(error instanceof CancelledError);
    case "cancelled":
      return error instanceof CancelledError;
    case "timeout":
      return error instanceof TimeoutError;
    case "boom":
      return error instanceof Boom;
    case "group":
      return error instanceof AggregateError;
  }
}

/** Errors of the library itself are compared by kind, because their wording is our own. */
function errorName(error: unknown): string {
  if (error instanceof CancelledError) return `Cancelled(${error.message})`;
  if (error instanceof Boom) return `Boom(${error.message})`;
  if (error instanceof TimeoutError) return "Timeout";
  if (error instanceof QueueEmpty) return "QueueEmpty";
  if (error instanceof QueueFull) return "QueueFull";
  if (error instanceof QueueShutDown) return "QueueShutDown";
  if (error instanceof BrokenBarrierError) return "BrokenBarrier";
  if (error instanceof UsageError || error instanceof ArgumentError || error instanceof InvalidStateError) {
    return `Usage(${usage(error.code, error.message)})`;
  }
  return String(error);
}

function usage(code: string, message: string): string {
  switch (code) {
    case "LOCK_NOT_HELD":
      return "not held";
    case "SEMAPHORE_OVER_RELEASED":
      return "over-released";
    case "TASK_DONE_TOO_OFTEN":
      return "task done too often";
    case "INVALID_ARGUMENT":
      return "argument";
    case "TASK_GROUP_CLOSED":
      return message.includes("finished") ? "group finished" : "group shutting down";
    case "TIMEOUT_STATE":
      return `timeout ${/state of (\w+)/.exec(message)?.[1]}`;
    case "INVALID_STATE":
      return "state";
    default:
      return `${code} ${message}`;
  }
}
