import { CancelledError } from "../errors.ts";
import { currentStrand } from "./current-strand.ts";
import { leavesOf } from "./leaves.ts";
import { LATE, NATIVE, NONE, OWN, RETURNING } from "./states.ts";
import type { PendingRequest } from "./states.ts";
import type { Strand } from "./strand.ts";

/**
 * `_pending` of a task or a branch is a request to cancel that no awaitable took when it was made. In CPython a
 * task is either suspended, and its awaitable takes the request, or it runs, and then only its own code can
 * make the request. An `async` function has two further states: between the wake-up by the loop and the microtask
 * in which V8 resumes it, and while it awaits a foreign promise. There are therefore three kinds.
 *
 * - OWN: the strand's own code made the request. It is CPython's only kind. It is thrown at the next suspension. A
 *   task that returns before a suspension ends as cancelled.
 * - LATE: the request came between the wake-up and the resumption, when in CPython the step would be over. It is
 *   thrown at the next suspension. A task that returns before a suspension keeps its result.
 * - NATIVE: the request came while the function awaited a native promise. It is thrown at the next await of an
 *   awaitable of this package, even if that await would not suspend, because a loop of native awaits may never
 *   suspend. A task that returns before ends as cancelled; a scope that made the request ends as expired.
 *
 * A strand that was woken, or has not begun, throws any kind at its step. No kind replaces an error at the end, as
 * in CPython.
 */
/**
 * The number of strands with a pending request of kind NATIVE. A read whose bytes are in the buffer looks its strand
 * up only if the number is not 0, because the lookup costs as much as the read.
 */
let nativeRequests = 0;

export function hasNativeRequests(): boolean {
  return nativeRequests > 0;
}

/**
 * Takes the cancellation that is due at an await without a suspension, which is a request of kind NATIVE. Returns null
 * if there is none.
 */
export function takeAtCall(strand: Strand | null): CancelledError | null {
  return nativeRequests === 0 || strand === null ? null : strand._takeCancel(undefined, true);
}

/** Stores a request to cancel `strand` that no awaitable has taken. */
export function keepRequest(strand: Strand): void {
  dropRequest(strand);
  strand._pending = kindOfRequest(strand);
  if (strand._pending === NATIVE) nativeRequests++;
}

/** Removes a request that was taken or withdrawn, or that came too late. */
export function dropRequest(strand: Strand): void {
  if (strand._pending === NATIVE) nativeRequests--;
  strand._pending = NONE;
}

/** Returns the kind of a request to cancel `strand` that is made now. */
function kindOfRequest(strand: Strand): PendingRequest {
  for (let running = currentStrand(); running !== null; running = running._parent) {
    if (running === strand) return OWN;
  }
  const task = strand._task;
  return task._wokenIn === task._loop._turns || isReturning(strand) ? LATE : NATIVE;
}

/** Returns whether a native body has ended and its caller has not run yet. */
function isReturning(strand: Strand): boolean {
  if (strand._phase === RETURNING) return true;
  for (const leaf of leavesOf(strand)) if (leaf._branch !== null && isReturning(leaf._branch)) return true;
  return false;
}

/** Returns the number of open requests to cancel in the branches below `strand`. */
export function requestsBelow(strand: Strand): number {
  let open = 0;
  for (const { _branch } of leavesOf(strand)) {
    if (_branch !== null) open += _branch._cancels + requestsBelow(_branch);
  }
  return open;
}

/** Withdraws one request from the innermost branch that has one. Returns false if no branch has one. */
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
 * Returns the cancellation that an error represents, or undefined. A second cancellation during the disposal of an
 * `await using` reaches the end of the body as a SuppressedError with both. In CPython the second replaces the
 * first. A SuppressedError with any other error in it is no cancellation, so that no error is hidden.
 */
export function cancellationIn(error: unknown): CancelledError | undefined {
  if (error instanceof CancelledError) return error;
  if (!isSuppressedError(error) || cancellationIn(error.suppressed) === undefined) return undefined;
  return cancellationIn(error.error);
}

/** Recognises a SuppressedError by its name, because TypeScript makes one of its own on Node 22. */
function isSuppressedError(error: unknown): error is Error & { error: unknown; suppressed: unknown } {
  return (
    error instanceof Error && error.name === "SuppressedError" && "error" in error && "suppressed" in error
  );
}
