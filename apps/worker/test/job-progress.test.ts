import { expect, test } from "vitest";
import { reachedOf } from "../src/cli/job-progress.ts";

test.each([
  [0.25, 0.25, "25 %"],
  [1, 1, "100 %"],
  [40, 0.4, "40 %"],
  [400, 1, "100 %"],
  [{ done: 3, to: 12 }, 0.25, "3 of 12"],
  [{ current: 1_500, total: 3_000 }, 0.5, "1,500 of 3,000"],
  [{ percent: 12 }, 0.12, "12 %"],
  ["unpacking", undefined, "unpacking"],
  [{ phase: "unpack" }, undefined, '{"phase":"unpack"}'],
  [{ done: 3, total: 0 }, undefined, '{"done":3,"total":0}'],
  [null, undefined, "null"],
])("what a job says of how far it is: %j", (progress, share, text) => {
  expect(reachedOf(progress)).toEqual({ share, text });
});
