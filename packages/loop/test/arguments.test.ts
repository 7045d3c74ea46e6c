import { ArgumentError, cancelOnAbort, createTask, run, sleep, timeout } from "@taskloom/loop";
import { expect, test } from "vitest";

test.each([
  ["a function", () => timeout((() => 1) as never, 50 as never)],
  ["a text", () => timeout("5" as never, sleep(1))],
  ["NaN", () => timeout(Number.NaN, sleep(1))],
  ["a text of a sleep", () => sleep("5" as never)],
])("a time that is %s is refused where it is given", (_, call) => {
  expect(call).toThrow(ArgumentError);
  expect(call).toThrow("Expected `ms` to be a number of milliseconds, got ");
});

test("a signal cancels a task with the message of its reason, now or later, and is left when the task has ended", async () => {
  await run(async () => {
    const controller = new AbortController();
    const later = createTask(sleep(60_000));
    cancelOnAbort(later, controller.signal);
    const ended = createTask(sleep(1, "ended"));
    cancelOnAbort(ended, controller.signal);
    expect(await ended).toBe("ended");
    controller.abort(new Error("enough"));
    await expect(later).rejects.toThrow("enough");
    const never = createTask(sleep(60_000));
    cancelOnAbort(never, controller.signal);
    await expect(never).rejects.toThrow("enough");
  });
});
