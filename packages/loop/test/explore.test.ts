import { expect, test } from "vitest";
import { gather, Lock, run, sleep } from "@taskloom/loop";
import { explore, ScheduleError, virtualClock } from "@taskloom/loop/testing";

/**
 * This program is correct only in the guaranteed order: the second deposit reads in the iteration in which
 * the first has written.
 */
const bank = (lock: Lock | null) => async () => {
  let balance = 0;
  const deposit = function* (amount: number) {
    const held = lock === null ? null : yield* lock.acquire();
    const before = balance;
    yield* sleep(0);
    balance = before + amount;
    held?.release();
  };
  const later = function* () {
    yield* sleep(0);
    yield* deposit(2);
  };
  await gather([deposit(1), later()]);
  if (balance !== 3) throw new Error(`balance is ${balance}`);
};

test("the promised order hides the race", async () => {
  await expect(run(bank(null), { clock: virtualClock() })).resolves.toBeUndefined();
});

test("explore finds a lost update around an await, and replays it from its seed", async () => {
  const failure = await explore(bank(null), { seeds: 1000 }).then(
    () => null,
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(ScheduleError);
  const { seed, message } = failure as ScheduleError;
  expect(message).toContain(`seeds: [${seed}]`);
  for (let i = 0; i < 3; i++) {
    await expect(explore(bank(null), { seeds: [seed] })).rejects.toMatchObject({
      seed,
      code: "SCHEDULE_FAILED",
    });
  }
});

test("explore passes what holds under every order", async () => {
  expect(await explore(() => bank(new Lock())(), { seeds: 200 })).toBe(200);
});
