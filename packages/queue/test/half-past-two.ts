/**
 * The times, as UTC, at which `30 2 * * *` in Berlin has to run over a change of the clock, from a start on: at 02:30 by
 * the clock there, an hour later where that does not exist, and once where it comes twice.
 */
export const halfPastTwoInBerlin: readonly (readonly [
  season: string,
  start: string,
  times: readonly string[],
])[] = [
  [
    "spring, when 02:30 does not exist",
    "2026-03-27T12:00Z",
    ["2026-03-28T01:30:00.000Z", "2026-03-29T01:30:00.000Z", "2026-03-30T00:30:00.000Z"],
  ],
  [
    "autumn, when 02:30 comes twice",
    "2026-10-23T12:00Z",
    ["2026-10-24T00:30:00.000Z", "2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"],
  ],
];
