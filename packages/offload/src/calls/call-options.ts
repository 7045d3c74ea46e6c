import { checkOptionNames, expectNumber } from "../check-options.ts";
import type { OptionNames } from "../check-options.ts";

/** Options of one call. Times are milliseconds. */
export interface CallOptions {
  /** Calls of a higher priority run first. A lower priority that was passed over 16 times has a turn. Default 0. */
  priority?: number;
  /** The limit of the run, after which the call ends with a `TimeoutError`. The wait for a thread does not count. */
  timeout?: number;
  /** The limit of the wait for a thread, after which the call ends with a `TimeoutError`. */
  queueTimeout?: number;
  /** Cancels the call. */
  signal?: AbortSignal;
  /** The task's name. */
  name?: string;
}

/** Options of calls, and of the streams among them. */
export interface StreamCallOptions extends CallOptions {
  /** The number of items that a stream's producer may be ahead of its consumer. Default 256. */
  window?: number;
}

const CALL_OPTIONS: OptionNames<StreamCallOptions> = {
  priority: true,
  timeout: true,
  queueTimeout: true,
  signal: true,
  name: true,
  window: true,
};

/**
 * Checks the options of a call.
 *
 * @throws {@link ArgumentError} for an unknown option
 * @throws RangeError for a value out of range
 */
export function checkCallOptions(options: StreamCallOptions): void {
  checkOptionNames(options, CALL_OPTIONS, "a call to a thread");
  expectNumber("priority", options.priority, { least: -Infinity });
  expectNumber("timeout", options.timeout, { least: 0 });
  expectNumber("queueTimeout", options.queueTimeout, { least: 0 });
  expectNumber("window", options.window, { least: 1 });
}
