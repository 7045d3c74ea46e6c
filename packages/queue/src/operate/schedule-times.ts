import type { RepeatOptions } from "bullmq";
import { checkOptionNames } from "../check-option-names.ts";
import { CronPattern } from "../cron/cron-pattern.ts";
import { nextRun } from "../cron/next-run.ts";
import { nextRunOf } from "../cron/repeat-strategy.ts";
import { TaskOptionsError } from "../errors.ts";
import { messageOf } from "../message-of.ts";
import { wholeMilliseconds } from "../milliseconds.ts";

/** The times of a schedule: those of a cron pattern, or an interval. */
export type When = (
  | {
      /** A pattern of five fields, or of six with the seconds first: `"0 3 * * *"` is every day at three. */
      readonly cron: string;
      /**
       * The zone of the pattern, such as `"Europe/Berlin"`. Default: the zone of the machine. A run that falls into a
       * daylight-saving gap is shifted by the length of the gap, and a time that comes twice is run the first time. A
       * pattern that matches every hour runs whenever the clock shows one of its times.
       */
      readonly timezone?: string;
      readonly every?: never;
    }
  | {
      /** Milliseconds from one run to the next, at most 10 years. The first run begins at once. */
      readonly every: number;
      readonly cron?: never;
      readonly timezone?: never;
    }
) & {
  /** The time after which no run begins. A schedule whose time is over replaces any other of its id, and never runs. */
  readonly until?: Date | number;
};

const TIMES = { cron: true, every: true, timezone: true, until: true };

/**
 * Returns BullMQ's options of a schedule.
 *
 * @throws {@link TaskOptionsError} for an invalid id, pattern, zone or interval.
 */
export function repeatOf(id: string, when: When): Omit<RepeatOptions, "key"> {
  if (!/^[\w.-]{1,100}$/.test(id)) {
    throw new TaskOptionsError(
      `Expected a schedule's id to be 1 to 100 letters, digits, '_', '.' or '-', got ${JSON.stringify(id)}`,
    );
  }
  checkOptionNames(when, TIMES, "the times of a schedule");
  const { cron, every, timezone, until } = when;
  if ((cron === undefined) === (every === undefined))
    throw new TaskOptionsError("Expected a schedule to have either `cron` or `every`");
  const interval = every === undefined ? {} : { every: wholeMilliseconds("`every`", every, { from: 1 }) };
  // The time is rounded down: runs are at whole milliseconds, and none may be later.
  const endDate = until === undefined ? undefined : Math.floor(Number(until));
  if (endDate !== undefined && Number.isNaN(new Date(endDate).getTime()))
    throw new TaskOptionsError(
      `Expected \`until\` to be a date or milliseconds of the epoch, got ${String(until)}`,
    );
  if (timezone !== undefined && !isTimeZone(timezone)) {
    throw new TaskOptionsError(
      `Expected \`timezone\` to be an IANA zone such as "Europe/Berlin", got ${JSON.stringify(timezone)}`,
    );
  }
  const repeat = {
    ...(cron === undefined ? {} : { pattern: cron }),
    ...interval,
    ...(timezone === undefined ? {} : { tz: timezone }),
    ...(endDate === undefined ? {} : { endDate }),
  };
  if (cron !== undefined) checkCron(cron, timezone);
  return repeat;
}

/** Whether a schedule has no run after `time`, which is a time of this machine's clock. */
export function hasEnded(
  { pattern, every, tz, endDate }: Pick<RepeatOptions, "pattern" | "every" | "tz" | "endDate">,
  time: number,
): boolean {
  const end = endDate === undefined ? undefined : Number(endDate);
  if (end !== undefined && end <= time) return true;
  if (every !== undefined || pattern === undefined) return false;
  const repeat = { pattern, ...(tz === undefined ? {} : { tz }) };
  const next = nextRunOf(time, repeat);
  return next === undefined || (end !== undefined && next > end);
}

function checkCron(cron: string, timezone: string | undefined): void {
  let next: number | undefined;
  try {
    next = nextRun(new CronPattern(cron), timezone, Date.now());
  } catch (error) {
    throw new TaskOptionsError(
      `Expected \`cron\` to be a pattern such as "0 3 * * *", got ${JSON.stringify(cron)}: ${messageOf(error)}`,
      { cause: error },
    );
  }
  if (next === undefined)
    throw new TaskOptionsError(
      `Expected \`cron\` to be a pattern that comes within some years, got ${JSON.stringify(cron)}`,
    );
}

function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: zone }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}
