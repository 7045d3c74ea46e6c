import type { RepeatOptions } from "bullmq";
import type { PausedTimes } from "../wire/job-data.ts";

/** Returns the fields of a schedule that determine its times. */
export function timesOf({
  pattern,
  every,
  tz,
  endDate,
}: Pick<RepeatOptions, "pattern" | "every" | "tz" | "endDate">): PausedTimes {
  return {
    ...(pattern === undefined ? {} : { pattern }),
    ...(every === undefined ? {} : { every }),
    ...(tz === undefined ? {} : { tz }),
    ...(endDate === undefined ? {} : { endDate: Number(endDate) }),
  };
}
