import { Cron } from "croner";
import { describe, expect, test } from "vitest";
import { CronPattern } from "../../src/cron/cron-pattern.ts";
import { nextRun } from "../../src/cron/next-run.ts";

/** Every zone in the full form; a zone for each kind of change, and all that change at midnight, in the short form. */
const isFull = process.env["TASKLOOM_FAULTS"] === "full";

const hour = 3_600_000;
const day = 24 * hour;
const from = Date.parse("2026-02-20T00:00Z");
const to = from + 400 * day;

/** What the clocks of a zone show at an instant, as if they were UTC's; by another way than the code that is tested. */
const clocks = new Map<string, Intl.DateTimeFormat>();
function shown(zone: string, instant: number): number {
  let clock = clocks.get(zone);
  if (clock === undefined)
    clocks.set(
      zone,
      (clock = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" })),
    );
  return Date.parse(`${clock.format(instant).replace(" ", "T")}Z`);
}

interface Change {
  /** The first instant after it. */
  readonly at: number;
  /** How far the clock is ahead of UTC before it and after it. */
  readonly before: number;
  readonly after: number;
}

/** The changes of a zone's clock, minute by minute. */
function changesOf(zone: string): Change[] {
  const changes: Change[] = [];
  const ahead = (instant: number): number => shown(zone, instant) - instant;
  for (let start = from - 4 * day; start < to + 4 * day; start += 4 * day) {
    if (ahead(start) === ahead(start + 4 * day)) continue;
    let at = start;
    while (ahead(at) === ahead(start)) at += 60_000;
    changes.push({ at, before: ahead(start), after: ahead(at) });
  }
  return changes;
}

/** Whether midnight is among the times that a change skips or repeats. */
function isAtMidnight({ at, before, after }: Change): boolean {
  const first = at + Math.min(before, after);
  const end = at + Math.max(before, after);
  return Math.ceil(first / day) * day < end;
}

/** Zones whose clocks change in the same way in these days are one. */
const zones = new Map<string, { readonly zone: string; readonly changes: readonly Change[] }>();
for (const zone of Intl.supportedValuesOf("timeZone")) {
  const changes = changesOf(zone);
  const key = JSON.stringify([changes, shown(zone, from) - from]);
  if (!zones.has(key)) zones.set(key, { zone, changes });
}
const atMidnight = [...zones.values()].filter(({ changes }) => changes.some(isAtMidnight));
/** Others that are worth a look in the short form: the usual change, one of half an hour, and none. */
const others = ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"];
const tested = isFull
  ? [...zones.values()]
  : [...atMidnight, ...others.map((zone) => ({ zone, changes: changesOf(zone) }))];

/** Patterns of every kind of field. */
const timesOfDay = [
  "0 0 * * *",
  "*/20 0 * * *",
  "45 1-3 * * *",
  "0 */6 * * *",
  "0 0 * * SUN",
  "0 0 * * 0#1",
  "0 0 29 3 *",
  "0 0 L * *",
  "0 0 13 * FRI",
  "30 15 0 * JAN-JUN *",
  "@monthly",
  ...(isFull
    ? [
        "30 0 * * *",
        "15,45 0 * * *",
        "59 23 * * *",
        "30 2 * * *",
        "0 0-3 * * *",
        "0 0,12 * * *",
        "30 1-23/2 * * 1-5",
        "0 0 * * 7",
        "0 0 * * 6,0",
        "0 0 1 * *",
        "0 0 25-31 3,10 *",
        "0 0 ? * MON",
        "0 0 1 1 *",
        "*/30 59 23 * * *",
        "@daily",
        "@weekly",
        "@yearly",
      ]
    : []),
];
const intervals = [
  "*/15 * * * *",
  ...(isFull ? ["0 * * * *", "*/7 * * * *", "10,50 0-23 * * SUN", "0 */10 * * * *", "@hourly"] : []),
];

/** The runs by our rules: croner names the times on a clock that is never changed, and a search of the zone's own. */
function expectedRuns(
  pattern: string,
  zone: string,
  changes: readonly Change[],
  start: number,
  end: number,
): number[] {
  const isInterval = intervals.includes(pattern);
  const offsets = new Set([
    shown(zone, start) - start,
    ...changes.flatMap(({ before, after }) => [before, after]),
  ]);
  const runs = new Set<number>();
  const cron = new Cron(pattern, { timezone: "UTC" });
  for (let time = cron.nextRun(new Date(start - 2 * day)); time !== null && time.getTime() < end + 2 * day;) {
    const wall = time.getTime();
    const instants = [...offsets]
      .map((ahead) => wall - ahead)
      .filter((instant) => shown(zone, instant) === wall);
    if (instants.length === 0) {
      const gap = changes.find(({ at, before, after }) => wall >= at + before && wall < at + after);
      if (!isInterval && gap !== undefined) runs.add(wall - gap.before);
    } else if (isInterval) for (const instant of instants) runs.add(instant);
    else runs.add(Math.min(...instants));
    time = cron.nextRun(time);
  }
  return [...runs].filter((run) => run > start && run <= end).toSorted((a, b) => a - b);
}

function actualRuns(pattern: string, zone: string, start: number, end: number): number[] {
  const runs: number[] = [];
  const parsed = new CronPattern(pattern);
  for (
    let run = nextRun(parsed, zone, start);
    run !== undefined && run <= end;
    run = nextRun(parsed, zone, run)
  )
    runs.push(run);
  return runs;
}

/** The same by croner with the zone: its rules for a skipped or a repeated time are others. */
function cronersRuns(pattern: string, zone: string, start: number, end: number): number[] {
  const runs: number[] = [];
  const cron = new Cron(pattern, { timezone: zone });
  for (let run = cron.nextRun(new Date(start)); run !== null && run.getTime() <= end; run = cron.nextRun(run))
    runs.push(run.getTime());
  return runs;
}

const iso = (runs: readonly number[]): string[] => runs.map((run) => new Date(run).toISOString());

describe.each(tested)("in $zone", ({ zone, changes }) => {
  test.for(timesOfDay)(
    "400 days of %s are those of a clock, shifted by a gap and the first of two",
    (pattern) => {
      const runs = actualRuns(pattern, zone, from, to);
      expect(iso(runs)).toEqual(iso(expectedRuns(pattern, zone, changes, from, to)));
      // A second cron library has the same runs, apart from those in a gap: it starts them when the gap ends.
      const isAway = (run: number): boolean => changes.every(({ at }) => Math.abs(run - at) > 26 * hour);
      expect(iso(runs.filter(isAway))).toEqual(iso(cronersRuns(pattern, zone, from, to).filter(isAway)));
    },
  );

  test.for(intervals)("%s goes on through every change, as in a second cron library", (pattern) => {
    for (const { at } of changes) {
      const runs = iso(actualRuns(pattern, zone, at - day, at + day));
      expect(runs).toEqual(iso(expectedRuns(pattern, zone, changes, at - day, at + day)));
      expect(runs).toEqual(iso(cronersRuns(pattern, zone, at - day, at + day)));
    }
  });
});

test("zones that change their clock at midnight are among the zones", () => {
  expect(atMidnight.map(({ zone }) => zone)).toEqual(
    expect.arrayContaining(["Africa/Cairo", "America/Havana", "Asia/Beirut", "Atlantic/Azores"]),
  );
});

test.each([
  ["Atlantic/Azores", "0 0 * * *", "2027-03-27T12:00Z", "2027-03-28T01:00:00.000Z"],
  ["Atlantic/Azores", "0 0 * * SUN", "2027-03-27T12:00Z", "2027-03-28T01:00:00.000Z"],
  ["Atlantic/Azores", "0 0 28 3 *", "2027-03-27T12:00Z", "2027-03-28T01:00:00.000Z"],
  ["Atlantic/Azores", "0 0 29 3 *", "2026-03-28T12:00Z", "2026-03-29T01:00:00.000Z"],
  ["Atlantic/Azores", "0 0 * * *", "2026-10-24T12:00Z", "2026-10-25T00:00:00.000Z"],
  ["Australia/Lord_Howe", "0 2 * * *", "2026-04-04T00:00Z", "2026-04-04T15:30:00.000Z"],
  ["Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00Z", "2026-10-03T15:45:00.000Z"],
  ["Europe/Berlin", "*/20 2 * * *", "2026-03-29T01:00Z", "2026-03-29T01:20:00.000Z"],
  ["UTC", "0 0 29 2 *", "2026-03-01T00:00Z", "2028-02-29T00:00:00.000Z"],
  ["Pacific/Apia", "0 12 * * *", "2011-12-29T23:00Z", "2011-12-30T22:00:00.000Z"],
  // A change that repeats the last hour of a day.
  ["America/Sao_Paulo", "30 * 17 2 *", "2018-02-18T01:30Z", "2018-02-18T02:30:00.000Z"],
])("in %s, %s after %s is %s", (zone, pattern, after, next) => {
  expect(iso([nextRun(new CronPattern(pattern), zone, Date.parse(after)) ?? Number.NaN])).toEqual([next]);
});

test.each([
  ["H 3 * * *", /`H` would be a different time/],
  ["0 H(0-7) * * *", /`H` would be a different time/],
  ["0 0 H/5 * *", /`H` would be a different time/],
  ["0 3", /it has 2 fields/],
  ["", /it has 1 fields/],
  ["0 0 0 * * * 2027", /it has 7 fields/],
  ["0 0 30 2 *", /./],
  ["0 0 1W * *", /./],
  ["61 * * * *", /./],
])("the pattern %j is refused", (pattern, why) => {
  expect(() => new CronPattern(pattern)).toThrow(why);
});

test("THU and MARCH's names are no `H`", () => {
  expect(() => [new CronPattern("0 0 * MAR THU"), new CronPattern("0 0 * * THU,FRI")]).not.toThrow();
});
