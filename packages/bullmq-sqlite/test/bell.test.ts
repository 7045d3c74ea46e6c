import { EventEmitter } from "node:events";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Bell } from "../src/database/bell.ts";
import type { Database } from "../src/database/database.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A day more than Node's timers can wait for: they turn it into 1 ms. */
const long = 2 ** 31 + 86_400_000;

test("a wait for a job that is due in more than 25 days does not end at once", async () => {
  const bell = new Bell(new EventEmitter() as unknown as Database, "queue", "jobs");
  let isOver = false;
  void bell.wait(2 * long, async () => ({ isNew: false, within: long })).then(() => (isOver = true));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(isOver).toBe(false);
  bell.cancel();
});
