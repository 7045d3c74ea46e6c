import type { CronPattern } from "./cron-pattern.ts";
import { zoneOffset } from "./zone-offset.ts";

/** No zone changes its clock twice within this time, nor by more; milliseconds. */
const reach = 48 * 3_600_000;

/**
 * The first run of a pattern after an instant, by the clocks of a zone; undefined when there is none in sight.
 *
 * - A time that a change of the clock skips is run as much later as the change skips: it has the instant that it would
 *   have if the clock had not been changed.
 * - A time that comes twice is run the first time.
 * - A pattern that matches every hour is an interval: it runs whenever a clock shows a time of it, so it goes on through
 *   a repeated hour, and has nothing to make up for after a skipped one.
 *
 * Between two changes a clock is a constant ahead of UTC. The search goes through these spans, one after the other.
 */
export function nextRun(pattern: CronPattern, zone: string | undefined, after: number): number | undefined {
  for (let from = Math.floor(after) + 1; ;) {
    const offset = zoneOffset(zone, from);
    const before = zoneOffset(zone, from - reach);
    const start = before === offset ? undefined : changeBetween(zone, from - reach, from);
    const end =
      zoneOffset(zone, from + reach) === offset ? undefined : changeBetween(zone, from, from + reach);
    const next = firstIn({ pattern, from, offset, before, start });
    if (next < (end ?? from + reach)) return next;
    if (end !== undefined) from = end;
    else if (next === Infinity) return undefined;
    // No time of the pattern is between, on whatever clock; the span that has the next may be another one.
    else from = Math.max(from + reach, next - reach);
  }
}

/** A span between two changes of a zone's clock. */
interface Span {
  readonly pattern: CronPattern;
  /** The first instant that counts. */
  readonly from: number;
  /** How far the clock is ahead of UTC. */
  readonly offset: number;
  /** The same before the span began at `start`; a span that began long ago has no `start`. */
  readonly before: number;
  readonly start: number | undefined;
}

/** The first run from `from` on, if the span never ended; Infinity when there is none. */
function firstIn({ pattern, from, offset, before, start }: Span): number {
  const regular = (clock: number, ahead: number): number => (pattern.next(clock - 1) ?? Infinity) - ahead;
  if (start === undefined || pattern.isEveryHour) return regular(from + offset, offset);
  // Put back: until the clock shows the time at which it was put back, it shows times that have been.
  if (before > offset) return regular(Math.max(from + offset, start + before), offset);
  // Put forward: the times that were skipped are run as if the clock before went on for as long as it skipped.
  const skipped = regular(from + before, before);
  const first = regular(from + offset, offset);
  return skipped < start + (offset - before) ? Math.min(skipped, first) : first;
}

/** The first instant with the offset of `right`; `left` has another. */
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
