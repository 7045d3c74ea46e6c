import { expect, test } from "vitest";
import { pauseOfLooks, restOf } from "../src/lane/parking.ts";

const RESTING = {
  now: 100_000,
  steps: 0,
  pending: 1,
  wakeAt: undefined,
  busyAt: 90_000,
  tickedAt: 100_000,
  residentFor: 2_000,
  isLocal: false,
};

test("a run that waits for jobs looks at them soon at first, and then less and less often", () => {
  const looks: number[] = [];
  for (let now = 0; looks.length < 9;) {
    const rest = restOf({ ...RESTING, now, tickedAt: 0, busyAt: -10_000 });
    expect(rest.kind).toBe("park");
    now = rest.until!;
    looks.push(now);
  }
  expect(looks).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 62_000, 92_000, 122_000]);
  expect([0, 1_500, 3_600_000].map(pauseOfLooks)).toEqual([1_000, 1_500, 30_000]);
});

test("a run parks until its timer, if that is earlier, and without jobs until it is woken", () => {
  expect(restOf({ ...RESTING, tickedAt: 80_000, wakeAt: 105_000 })).toEqual({ kind: "park", until: 105_000 });
  expect(restOf({ ...RESTING, pending: 0 })).toEqual({ kind: "park", until: Infinity });
});

test("a run stays in memory with a step, with a timer that is near, and when it was busy a moment ago", () => {
  expect(restOf({ ...RESTING, steps: 1 })).toEqual({ kind: "stay", until: undefined });
  expect(restOf({ ...RESTING, wakeAt: 101_000 })).toEqual({ kind: "stay", until: 101_000 });
  expect(restOf({ ...RESTING, busyAt: 99_000 })).toEqual({ kind: "stay", until: 101_000 });
});
