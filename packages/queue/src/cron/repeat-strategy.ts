import { getNextMillis } from "bullmq";
import type { AdvancedOptions, RepeatOptions } from "bullmq";
import { CronPattern } from "./cron-pattern.ts";
import { nextRun } from "./next-run.ts";

/** The fields of a stored schedule that decide when it runs. */
type Repeat = Pick<RepeatOptions, "pattern" | "tz" | "endDate" | "startDate" | "immediately">;

/**
 * When a stored schedule with a pattern runs next, after an instant in milliseconds of the epoch; undefined after its
 * last run.
 */
export function nextRunOf(after: number, repeat: Repeat): number | undefined {
  const { pattern = "", tz, startDate, endDate } = repeat;
  if (repeat.immediately === true) return Date.now();
  const from = startDate === undefined ? after : Math.max(after, new Date(startDate).getTime());
  let next: number | undefined;
  try {
    next = nextRun(new CronPattern(pattern), tz, from);
  } catch {
    // Another BullMQ client stored a pattern that Taskloom refuses, such as one with `H`: it has BullMQ's rules.
    return getNextMillis(after, repeat);
  }
  return next !== undefined && endDate != null && next > new Date(endDate).getTime() ? undefined : next;
}

/** The same for an engine that stores the run. A schedule that ends without an end date is reported as a warning. */
export function nextRunToStore(after: number, repeat: Repeat): number | undefined {
  const next = nextRunOf(after, repeat);
  if (next === undefined && repeat.endDate == null) {
    process.emitWarning(
      `The schedule ${JSON.stringify(repeat.pattern)} has no further run in sight and ends.`,
      {
        type: "TaskloomWarning",
        code: "SCHEDULE_ENDED",
      },
    );
  }
  return next;
}

/**
 * Settings of BullMQ's Queue and Worker. A worker stores the next run of a schedule when it takes the one before, and a
 * queue stores the first one, so both have to be given the same rules.
 */
export const repeatSettings: AdvancedOptions = { repeatStrategy: nextRunToStore };
