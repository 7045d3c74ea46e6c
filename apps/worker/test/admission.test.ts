import { expect, test } from "vitest";
import { Admission } from "../src/workers/admission.ts";

const late = { delay: 400, utilization: 1 };
const calm = { delay: 5, utilization: 0.2 };
const between = { delay: 150, utilization: 0.9 };
const limits = { concurrency: 100, maxDelay: 250, maxUtilization: 1 };

test("one bad reading changes nothing, two halve the limit, and the limit never falls below one", () => {
  const admission = new Admission(limits);
  expect([admission.read(late), admission.limit]).toEqual([false, 100]);
  expect([admission.read(late), admission.limit, admission.isThrottled]).toEqual([true, 50, true]);
  for (let reading = 0; reading < 20; reading++) admission.read(late);
  expect(admission.limit).toBe(1);
  expect(admission.reductions).toBe(6);
});

test("the limit does not oscillate: a reading between good and bad changes nothing, and three good readings raise it a little", () => {
  const admission = new Admission(limits);
  admission.read(late);
  admission.read(late);
  for (let reading = 0; reading < 10; reading++) expect(admission.read(between)).toBe(false);
  admission.read(calm);
  admission.read(calm);
  admission.read(between);
  admission.read(calm);
  admission.read(calm);
  expect(admission.limit).toBe(50);
  admission.read(calm);
  expect(admission.limit).toBe(63);
  for (let reading = 0; reading < 30; reading++) admission.read(calm);
  expect([admission.limit, admission.isThrottled]).toEqual([100, false]);
});

test("utilization counts only below a limit of 1", () => {
  const busy = { delay: 0, utilization: 0.99 };
  const unlimited = new Admission(limits);
  const limited = new Admission({ ...limits, maxUtilization: 0.9 });
  for (const admission of [unlimited, limited])
    for (let reading = 0; reading < 2; reading++) admission.read(busy);
  expect([unlimited.limit, limited.limit]).toEqual([100, 50]);
});
