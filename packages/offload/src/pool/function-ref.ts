import type { FunctionAddress } from "../boundary/function-address.ts";

/** A function as the pools know it. Made once for each function, or once for each source text. */
export interface FunctionRef {
  readonly id: number;
  readonly address: FunctionAddress;
  /** The function's name in messages. */
  readonly label: string;
  /** The options of the tasks of its calls. */
  readonly taskOptions: { readonly description: string };
  /** The recent duration of a call in milliseconds; undefined until a call has ended. */
  meanDuration: number | undefined;
  /** The number of calls for which the caller's stack is still captured; see STACKS. */
  stacks: number;
}

/**
 * The number of calls for which the caller's stack is captured: a function's first calls, and as many again after
 * each failure. A capture costs more than the rest of a call. A function that fails now and then reports where it
 * was called from, and a function that never fails does not pay for the captures.
 */
export const STACKS = 100;

let lastId = 0;

/** Returns a new reference for a function. */
export function makeRef(address: FunctionAddress, label: string): FunctionRef {
  return {
    id: ++lastId,
    address,
    label,
    taskOptions: { description: label },
    meanDuration: undefined,
    stacks: STACKS,
  };
}

/**
 * Records the duration of a run, in milliseconds.
 *
 * The mean falls at once and rises in steps. A call that was slow by accident (a collection, another process) must
 * not stop the batches. The pool's watch meanwhile handles a function that has become slow.
 */
export function recordDuration(ref: FunctionRef, duration: number): void {
  const mean = ref.meanDuration;
  if (mean === undefined || duration <= mean) ref.meanDuration = ((mean ?? duration) + duration) / 2;
  else ref.meanDuration = mean + (Math.min(duration, mean * 2 + 0.01) - mean) / 8;
}
