import { ArgumentError } from "../errors.ts";

/**
 * The limits of a transport's flow control, in bytes. Writing is paused above `high` until the buffer falls
 * to `low`.
 */
export interface WriteBufferLimits {
  /** Writing resumes at this number of bytes or fewer. */
  readonly low: number;
  /** Writing is paused above this number of bytes. */
  readonly high: number;
}

export const DEFAULT_LIMITS: WriteBufferLimits = { low: 16 * 1024, high: 64 * 1024 };

/** Completes the limits: `high` is 64 KiB or four times `low`, and `low` is a quarter of `high`. */
export function writeBufferLimits(limits: Partial<WriteBufferLimits>): WriteBufferLimits {
  const high = limits.high ?? (limits.low === undefined ? DEFAULT_LIMITS.high : 4 * limits.low);
  const low = limits.low ?? Math.floor(high / 4);
  if (!(high >= low && low >= 0)) {
    throw new ArgumentError(`Expected \`high\` >= \`low\` >= 0, got high ${high}, low ${low}`);
  }
  return { low, high };
}
