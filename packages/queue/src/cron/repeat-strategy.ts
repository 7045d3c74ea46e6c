import { createRequire } from "node:module";
import type { AdvancedOptions, RepeatOptions } from "bullmq";
import { CronPattern } from "./cron-pattern.ts";
import { nextRun } from "./next-run.ts";

const require = createRequire(import.meta.url);

/** The fields of a stored schedule that determine its runs. */
type Repeat = Pick<RepeatOptions, "pattern" | "tz" | "endDate" | "startDate" | "immediately">;

/**
 * Returns the next run of a stored schedule with a pattern after an instant, or undefined after its last run. Both are
 * milliseconds of the epoch.
 */
export function nextRunOf(after: number, repeat: Repeat): number | undefined {
  const { pattern = "", tz, startDate, endDate } = repeat;
  if (repeat.immediately === true) return Date.now();
  const from = startDate === undefined ? after : Math.max(after, new Date(startDate).getTime());
  let next: number | undefined;
  try {
    next = nextRun(new CronPattern(pattern), tz, from);
  } catch {
    // Another BullMQ client stored a pattern that Taskloom refuses, such as one with `H`. BullMQ's rules apply to it.
    const { getNextMillis } = require("bullmq") as typeof import("bullmq");
    return getNextMillis(after, repeat);
  }
  return next !== undefined && endDate != null && next > new Date(endDate).getTime() ? undefined : next;
}

/** Returns the next run for an engine that stores it. A schedule that ends without an end date causes a warning. */
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
 * Settings of BullMQ's queues, and of the consumers of lanes. A queue stores the first run of a schedule, and a consumer
 * stores the next run when it takes a run, so both need the same rules.
 */
export const repeatSettings: AdvancedOptions = { repeatStrategy: nextRunToStore };
