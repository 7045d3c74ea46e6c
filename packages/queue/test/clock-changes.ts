/** A cron pattern over a change of the clock, and the times, as UTC, at which it has to run from a start on. */
type ClockChange = readonly [
  name: string,
  when: { readonly cron: string; readonly timezone: string },
  start: string,
  times: readonly string[],
];

const berlin = { cron: "30 2 * * *", timezone: "Europe/Berlin" };

/** A time that is skipped runs as much later as the clock is put forward; one that comes twice runs the first time. */
export const clockChanges: readonly ClockChange[] = [
  [
    "02:30 in Berlin in spring, when it does not exist",
    berlin,
    "2026-03-27T12:00Z",
    ["2026-03-28T01:30:00.000Z", "2026-03-29T01:30:00.000Z", "2026-03-30T00:30:00.000Z"],
  ],
  [
    "02:30 in Berlin in autumn, when it comes twice",
    berlin,
    "2026-10-23T12:00Z",
    ["2026-10-24T00:30:00.000Z", "2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"],
  ],
  [
    "midnight in the Azores in spring, when it does not exist",
    { cron: "0 0 * * *", timezone: "Atlantic/Azores" },
    "2027-03-26T12:00Z",
    ["2027-03-27T01:00:00.000Z", "2027-03-28T01:00:00.000Z", "2027-03-29T00:00:00.000Z"],
  ],
  [
    "a Sunday's midnight in the Azores in spring, when it does not exist",
    { cron: "0 0 * * SUN", timezone: "Atlantic/Azores" },
    "2027-03-20T12:00Z",
    ["2027-03-21T01:00:00.000Z", "2027-03-28T01:00:00.000Z", "2027-04-04T00:00:00.000Z"],
  ],
  [
    "two o'clock on Lord Howe Island in April, when the clock is put back by half an hour",
    { cron: "0 2 * * *", timezone: "Australia/Lord_Howe" },
    "2026-04-03T00:00Z",
    ["2026-04-03T15:00:00.000Z", "2026-04-04T15:30:00.000Z", "2026-04-05T15:30:00.000Z"],
  ],
];
