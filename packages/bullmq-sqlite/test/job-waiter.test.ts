import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Database } from "../src/database/database.ts";
import { JobWaiter } from "../src/backend/job-waiter.ts";
import type { Claim, Claimed } from "../src/operations/claim.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const claimOf = (token: string): Claim => ({
  token,
  lockDuration: 30_000,
  now: 0,
  workerName: null,
  limiterMax: null,
  limiterDuration: null,
});

/** A day more than Node's timers can wait for: they turn it into 1 ms. */
const LONG_MS = 2 ** 31 + 86_400_000;

/** A database whose thread says when the next delayed job is due. */
function databaseWith(due: number): Database {
  const awaitJob: Database["awaitJob"] = (_queue, _claim, onClaim) => {
    onClaim([null, "", 0, due] satisfies Claimed);
    return async () => true;
  };
  return { awaitJob } as Partial<Database> as Database;
}

test("a wait ends when the next delayed job is due", async () => {
  const wait = new JobWaiter(databaseWith(Date.now() + 500), "queue");
  let result: boolean | undefined;
  void wait.wait(60_000, claimOf).then((hasAnswer) => (result = hasAnswer));
  await vi.advanceTimersByTimeAsync(499);
  expect(result).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1);
  expect(result).toBe(false);
});

test("a wait ends without a timer if the next delayed job is due already, since the clock may stand still", async () => {
  const wait = new JobWaiter(databaseWith(Date.now() - 1), "queue");
  expect(await wait.wait(60_000, claimOf)).toBe(false);
});

test("a wait for a job that is due in more than 25 days does not end at once", async () => {
  const wait = new JobWaiter(databaseWith(Date.now() + LONG_MS), "queue");
  let isOver = false;
  void wait.wait(2 * LONG_MS, claimOf).then(() => (isOver = true));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(isOver).toBe(false);
  await wait.close();
});
