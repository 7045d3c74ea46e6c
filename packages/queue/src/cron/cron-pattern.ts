import { createRequire } from "node:module";
import type { CronExpression } from "cron-parser";
import { messageOf } from "../message-of.ts";

const require = createRequire(import.meta.url);

const FIELDS = ["second", "minute", "hour", "day of the month", "month", "day of the week"];

/**
 * A cron pattern without a zone: the times that a clock shows.
 *
 * cron-parser parses the pattern in UTC, which has no daylight saving: its own handling of clock changes loses runs
 * (`docs/decisions/0011-cron-on-the-face-of-a-clock.md` has the cases). {@link nextRun} maps the times to a zone.
 */
export class CronPattern {
  /** True if every hour of the day matches: the pattern is then an interval and not a time of day. */
  readonly isEveryHour: boolean;
  readonly #expression: CronExpression;

  /** @throws Error whose message is a clause that names the fault of the pattern. */
  constructor(pattern: string) {
    const fields = pattern.trim().split(/\s+/);
    if (!pattern.trim().startsWith("@") && fields.length !== 5 && fields.length !== 6)
      throw new Error(`it has ${fields.length} fields, and five or six are needed`);
    if (fields.some((field) => /(?:^|,)H(?:$|[,/(])/i.test(field)))
      throw new Error("`H` would be a different time at each start, so write the time itself");
    // Loaded with the first pattern, since the parser brings a library of time zones.
    const { CronExpressionParser } = require("cron-parser") as typeof import("cron-parser");
    const parse = (text: string): CronExpression =>
      CronExpressionParser.parse(text, { tz: "UTC", currentDate: new Date(0) });
    try {
      this.#expression = parse(pattern.trim());
    } catch (error) {
      throw new Error(`${faultyField(fields, parse)}${messageOf(error)}`, { cause: error });
    }
    this.isEveryHour = this.#expression.fields.hour.values.length === 24;
  }

  /**
   * Returns the first time after `after`, or undefined if none comes within some years. Both are times that a clock
   * shows, in milliseconds as if the clock showed UTC.
   */
  next(after: number): number | undefined {
    try {
      this.#expression.reset(new Date(after));
      return this.#expression.next().getTime();
    } catch {
      return undefined; // cron-parser stops after 10,000 steps, for example for the 31st of February or April.
    }
  }
}

/** Returns the start of a message that names the first field at fault; the parser's own message has no name. */
function faultyField(fields: readonly string[], parse: (pattern: string) => unknown): string {
  const names = FIELDS.slice(-fields.length);
  const at = fields.findIndex((field, place) => {
    try {
      parse(fields.map((_, other) => (other === place ? field : "*")).join(" "));
      return false;
    } catch {
      return true;
    }
  });
  return fields.length === 1 || at < 0 ? "" : `field "${names[at]}" (${fields[at]}): `;
}
