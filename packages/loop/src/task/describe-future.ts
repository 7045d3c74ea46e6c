import { inspect } from "node:util";
import { CANCELLED, FAILED, FULFILLED, PENDING, UNRETRIEVED } from "./states.ts";
import type { FutureState } from "./states.ts";

interface Settled {
  readonly _state: FutureState;
  readonly _value: unknown;
}

/** Returns ` result=5` or ` exception=Error('…')`; empty if the future has neither. */
export function describeOutcome(future: Settled): string {
  switch (future._state) {
    case FULFILLED:
      return ` result=${short(future._value)}`;
    case FAILED:
    case UNRETRIEVED:
      return ` exception=${shortError(future._value)}`;
    case PENDING:
    case CANCELLED:
      return "";
  }
}

/** Returns `pending`, `finished` or `cancelled`. */
export function describeState(future: Settled): string {
  switch (future._state) {
    case PENDING:
      return "pending";
    case FULFILLED:
    case FAILED:
    case UNRETRIEVED:
      return "finished";
    case CANCELLED:
      return "cancelled";
  }
}

/** A primitive or an operation that a waiter's future belongs to. */
interface Awaited {
  /** @internal Returns the wait as text, such as `Lock.acquire() held by 'Task-2'`. */
  _describeWait(): string;
}

/** Returns `<Future pending>`; for the waiter of a primitive `<Lock.acquire() held by 'Task-2', 1 waiting>`. */
export function describeFuture(future: Settled & { constructor: { name: string } }): string {
  const { _state: state, _value: value } = future;
  // A pending future has no value yet. The primitives of `sync` store themselves there, which costs no field.
  if (state === PENDING && typeof value === "object" && value !== null && "_describeWait" in value)
    return `<${(value as Awaited)._describeWait()}>`;
  return `<${future.constructor.name} ${describeState(future)}${describeOutcome(future)}>`;
}

function short(value: unknown): string {
  const text = inspect(value, { depth: 0, breakLength: Infinity });
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

function shortError(error: unknown): string {
  if (error instanceof Error) return `${error.name}(${JSON.stringify(error.message)})`;
  return short(error);
}
