import { CancelledError } from "../errors.ts";
import { currentStrand } from "./current-strand.ts";
import { leavesOf } from "./leaves.ts";
import { LATE, NATIVE, NONE, OWN, RETURNING } from "./states.ts";
import type { PendingRequest } from "./states.ts";
import type { Strand } from "./strand.ts";

/**
 * `_pending` of a task or a branch: a request to cancel that nothing took when it was made. In CPython a
 * task is either suspended, and its awaitable takes the request, or it runs, and then only its own code can
 * ask. An `async` function is in two further states: between the wake-up by the loop and the microtask in
 * which V8 resumes it, and while it awaits a promise of somebody else. So there are three kinds.
 *
 * - OWN: made by the strand's own code. CPython's only kind: it is thrown at the next suspension; a task that
 *   returns before one ends as cancelled.
 * - LATE: made between the wake-up and the resumption, when in CPython the step would be over. It is thrown
 *   at the next suspension; a task that returns before one keeps its result.
 * - NATIVE: made while the function awaited a native promise. It is thrown at the next await of ours, even if
 *   that would not suspend: a loop of native awaits may never suspend otherwise. A task that returns before
 *   ends as cancelled, and a scope whose own request it is as expired.
 *
 * A strand that has been woken, or has not begun, throws any kind at its step. No kind takes the place of an
 * error at the end, as in CPython.
 */
/**
 * How many strands have a pending request of kind NATIVE. A read whose bytes are there asks for its strand only if there
 * is one: looking the strand up costs as much as the read.
 */
let nativeRequests = 0;

export function hasNativeRequests(): boolean {
  return nativeRequests > 0;
}

/**
 * Takes the cancellation that is due at an await which does not suspend: only a request of kind NATIVE is. Null when
 * there is none.
 */
export function takeAtCall(strand: Strand | null): CancelledError | null {
  return nativeRequests === 0 || strand === null ? null : strand._takeCancel(undefined, true);
}

/** Notes a request to cancel `strand` that nothing has taken. */
export function keepRequest(strand: Strand): void {
  dropRequest(strand);
  strand._pending = kindOfRequest(strand);
  if (strand._pending === NATIVE) nativeRequests++;
}

/** A request was taken, or withdrawn, or has come too late. */
export function dropRequest(strand: Strand): void {
  if (strand._pending === NATIVE) nativeRequests--;
  strand._pending = NONE;
}

/** The kind of a request to cancel `strand` that is made now. */
function kindOfRequest(strand: Strand): PendingRequest {
  for (let running = currentStrand(); running !== null; running = running._parent) {
    if (running === strand) return OWN;
  }
  const task = strand._task;
  return task._wokenIn === task._loop._turns || isReturning(strand) ? LATE : NATIVE;
}

/** Whether a native body has ended and its caller has not had its turn yet. */
function isReturning(strand: Strand): boolean {
  if (strand._phase === RETURNING) return true;
  for (const leaf of leavesOf(strand)) if (leaf._branch !== null && isReturning(leaf._branch)) return true;
  return false;
}

/** How many requests to cancel are open in the branches below `strand`. */
export function requestsBelow(strand: Strand): number {
  let open = 0;
  for (const { _branch } of leavesOf(strand)) {
    if (_branch !== null) open += _branch._cancels + requestsBelow(_branch);
  }
  return open;
}

/** Withdraws one request from the innermost branch that has one; false if none has. */
export function withdrawBelow(strand: Strand): boolean {
  for (const { _branch } of leavesOf(strand)) {
    if (_branch === null) continue;
    if (withdrawBelow(_branch)) return true;
    if (_branch._cancels > 0) {
      _branch._withdraw();
      return true;
    }
  }
  return false;
}

/**
 * The cancellation that an error stands for, or undefined. A second cancellation during the disposal of an
 * `await using` reaches the body's end as a SuppressedError of two; in CPython the second replaces the
 * first. A SuppressedError with any other error in it is that error's, and nothing is hidden.
 */
export function cancellationIn(error: unknown): CancelledError | undefined {
  if (error instanceof CancelledError) return error;
  if (!isSuppressedError(error) || cancellationIn(error.suppressed) === undefined) return undefined;
  return cancellationIn(error.error);
}

/** By its name: TypeScript makes one of its own where the engine has none (Node 22). */
function isSuppressedError(error: unknown): error is Error & { error: unknown; suppressed: unknown } {
  return (
    error instanceof Error && error.name === "SuppressedError" && "error" in error && "suppressed" in error
  );
}
