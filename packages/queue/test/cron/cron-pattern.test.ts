import { expect, test } from "vitest";
import { CronPattern } from "../../src/cron/cron-pattern.ts";

test.each([
  ["99 3 * * *", 'field "minute" (99): '],
  ["0 25 * * *", 'field "hour" (25): '],
  ["0 3 1-99 * *", 'field "day of the month" (1-99): '],
  ["0 3 * 13 *", 'field "month" (13): '],
  ["0 3 * * MOO", 'field "day of the week" (MOO): '],
  ["60 0 3 * * *", 'field "second" (60): '],
  ["*/0 * * * *", 'field "minute" (*/0): '],
])("the error of %s names the field", (pattern, start) => {
  expect(() => new CronPattern(pattern)).toThrow(start);
});

test("a pattern of another length is refused by its number of fields, and a nickname as a whole", () => {
  expect(() => new CronPattern("0 3 * *")).toThrow("it has 4 fields, and five or six are needed");
  expect(() => new CronPattern("@evry")).toThrow(/^(?!field).*alias/);
});
