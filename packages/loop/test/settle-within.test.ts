import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { settleWithin } from "../src/timer.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const endless = new Promise<never>(() => {});

/** Whether a wait for a clean-up that never ends is over after `passed` milliseconds. */
async function isOverAfter(patience: number, passed: number): Promise<boolean> {
  let isOver = false;
  void settleWithin(patience, endless).then(() => (isOver = true));
  await vi.advanceTimersByTimeAsync(passed);
  return isOver;
}

// Node's own timers turn these into 1 ms.
test.each([2 ** 31, 30 * 86_400_000, Infinity])("a clean-up may take %d ms", async (patience) => {
  expect(await isOverAfter(patience, 2 ** 31 - 1)).toBe(false);
});

test("a clean-up that takes longer than its time is not waited for", async () => {
  expect(await isOverAfter(1_000, 1_000)).toBe(true);
  expect(await isOverAfter(2 ** 31, 2 ** 31)).toBe(true);
});

test("a clean-up that ends or fails ends the wait, and leaves no timer", async () => {
  await settleWithin(2 ** 31, Promise.resolve());
  await settleWithin(Infinity, Promise.reject(new Error("no matter")));
  expect(vi.getTimerCount()).toBe(0);
});
