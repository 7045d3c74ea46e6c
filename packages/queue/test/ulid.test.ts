import { expect, test } from "vitest";
import { ulid } from "../src/contract/ulid.ts";

test("an id is a ULID: its time in front, and random behind", () => {
  // The example of the specification: https://github.com/ulid/spec
  expect(ulid(1_469_918_176_385).slice(0, 10)).toBe("01ARYZ6S41");
  expect(ulid()).toMatch(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/);
});

test("ids sort by the time they were made, and never meet", () => {
  const ids = Array.from({ length: 10_000 }, (_, at) => ulid(at * 1_000_003));
  expect(ids.toSorted()).toEqual(ids);
  expect(new Set(Array.from({ length: 10_000 }, () => ulid(1))).size).toBe(10_000);
});

test("every character of the alphabet comes about as often as any other", () => {
  const counts = new Map<string, number>();
  for (let n = 0; n < 4_000; n++)
    for (const character of ulid().slice(10)) counts.set(character, (counts.get(character) ?? 0) + 1);
  // 64,000 characters, 2,000 of each: eleven standard deviations to either side.
  expect(counts.size).toBe(32);
  for (const count of counts.values()) expect(Math.abs(count - 2_000)).toBeLessThan(500);
});
