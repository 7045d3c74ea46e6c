import { ArgumentError } from "../errors.ts";

/** The marks of a transport's flow control, in bytes: above `high` writing is paused, until `low` is reached. */
export interface WriteBufferLimits {
  /** Writing is resumed when no more than this is left. */
  readonly low: number;
  /** Writing is paused when more than this waits. */
  readonly high: number;
}

export const defaultLimits: WriteBufferLimits = { low: 16 * 1024, high: 64 * 1024 };

/** The limits that are meant: `high` is 64 KiB or four times `low`, `low` a quarter of `high`. */
export function writeBufferLimits(limits: Partial<WriteBufferLimits>): WriteBufferLimits {
  const high = limits.high ?? (limits.low === undefined ? defaultLimits.high : 4 * limits.low);
  const low = limits.low ?? Math.floor(high / 4);
  if (!(high >= low && low >= 0)) {
    throw new ArgumentError(`Expected high >= low >= 0 as write buffer limits, got high ${high}, low ${low}`);
  }
  return { low, high };
}
