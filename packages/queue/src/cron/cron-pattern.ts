import { CronExpressionParser } from "cron-parser";

/**
 * A cron pattern without a zone: the times that it names on the face of a clock.
 *
 * cron-parser reads the pattern, in a zone that never changes its clock. Its own handling of daylight saving loses runs;
 * `docs/decisions/0011-cron-on-the-face-of-a-clock.md` has the cases. {@link nextRun} maps the times to a zone instead.
 */
export class CronPattern {
  /** Whether every hour of a day matches, so that the pattern is an interval rather than a time of day. */
  readonly isEveryHour: boolean;
  readonly #expression: ReturnType<typeof CronExpressionParser.parse>;

  /** @throws an Error that says in a clause how the pattern is wrong. */
  constructor(pattern: string) {
    const fields = pattern.trim().split(/\s+/);
    if (!pattern.trim().startsWith("@") && fields.length !== 5 && fields.length !== 6)
      throw new Error(`it has ${fields.length} fields, and five or six are needed`);
    if (fields.some((field) => /(?:^|,)H(?:$|[,/(])/i.test(field)))
      throw new Error("`H` would be another time at each start, so write the time itself");
    this.#expression = CronExpressionParser.parse(pattern.trim(), { tz: "UTC", currentDate: new Date(0) });
    this.isEveryHour = this.#expression.fields.hour.values.length === 24;
  }

  /**
   * The first time after `after`; undefined when there is none in sight. Both are what a clock shows, in milliseconds,
   * as if the clock were UTC's.
   */
  next(after: number): number | undefined {
    try {
      this.#expression.reset(new Date(after));
      return this.#expression.next().getTime();
    } catch {
      return undefined; // cron-parser gives up after 10,000 steps, as for the 31st of February or April.
    }
  }
}
