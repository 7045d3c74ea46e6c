import type { CronPattern } from "./cron-pattern.ts";
import { zoneOffset } from "./zone-offset.ts";

/** No zone changes its clock twice within this time, or by more than this time. */
const REACH_MS = 48 * 3_600_000;

/**
 * Returns the first run of a pattern after an instant, by the clocks of a zone, or undefined if none comes within some
 * years.
 *
 * - A run that falls into a daylight-saving gap is shifted by the length of the gap.
 * - A time that comes twice is run the first time.
 * - A pattern that matches every hour is an interval. It runs whenever the clock shows one of its times: through a
 *   repeated hour too, and without a replacement for a skipped one.
 *
 * Between two clock changes the offset from UTC is constant. The search goes through these spans one by one.
 */
export function nextRun(pattern: CronPattern, zone: string | undefined, after: number): number | undefined {
  for (let from = Math.floor(after) + 1; ;) {
    const offset = zoneOffset(zone, from);
    const before = zoneOffset(zone, from - REACH_MS);
    const start = before === offset ? undefined : changeBetween(zone, from - REACH_MS, from);
    const end =
      zoneOffset(zone, from + REACH_MS) === offset ? undefined : changeBetween(zone, from, from + REACH_MS);
    const next = firstIn({ pattern, from, offset, before, start });
    if (next < (end ?? from + REACH_MS)) return next;
    if (end !== undefined) from = end;
    else if (next === Infinity) return undefined;
    // No time of the pattern lies between, at any offset. The next one may lie in another span.
    else from = Math.max(from + REACH_MS, next - REACH_MS);
  }
}

/** A span between two clock changes of a zone. */
interface Span {
  readonly pattern: CronPattern;
  /** The first instant of the search. */
  readonly from: number;
  /** The offset of the clock from UTC. */
  readonly offset: number;
  /** The offset before the span began at `start`. A span that began long ago has no `start`. */
  readonly before: number;
  readonly start: number | undefined;
}

/** Returns the first run from `from` on as if the span never ended, or Infinity if there is none. */
function firstIn({ pattern, from, offset, before, start }: Span): number {
  const regular = (clock: number, ahead: number): number => (pattern.next(clock - 1) ?? Infinity) - ahead;
  if (start === undefined || pattern.isEveryHour) return regular(from + offset, offset);
  // A clock that was put back repeats times until it again shows the time at which it was put back.
  if (before > offset) return regular(Math.max(from + offset, start + before), offset);
  // After a clock was put forward, the skipped times run as if the old offset held for the length of the gap.
  const skipped = regular(from + before, before);
  const first = regular(from + offset, offset);
  return skipped < start + (offset - before) ? Math.min(skipped, first) : first;
}

/** Returns the first instant with the offset of `right`; `left` has another offset. */
function changeBetween(zone: string | undefined, left: number, right: number): number {
  const offset = zoneOffset(zone, right);
  let low = left;
  let high = right;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (zoneOffset(zone, middle) === offset) high = middle;
    else low = middle;
  }
  return high;
}
