import { TaskOptionsError, TaskQueue, defineTask } from "@taskloom/queue";
import { expect, test } from "vitest";

test.each([
  [{ name: "x", attempt: 3 }, "There is no option `attempt` of defineTask. Did you mean attempts?"],
  [{ name: "x", retries: 3 }, "There is no option `retries` of defineTask. Known are: name, module,"],
  [
    { name: "x", backoff: { type: "fixed", delay: 1, jiter: 1 } },
    "There is no option `jiter` of `backoff` of task x. Did you mean jitter?",
  ],
])("defineTask refuses an option that does not exist: %o", (options, message) => {
  const attempt = (): unknown => defineTask(options as never, () => 1);
  expect(attempt).toThrow(TaskOptionsError);
  expect(attempt).toThrow(message);
});

test.each([
  [{ progress: 5 }, "Expected `progress` of task x to be made by defineProgress, got number"],
  [{ concurrency: 0 }, "Expected `concurrency` of task x to be a whole number from 1 to 1000000, got 0"],
  [{ concurrency: 1.5 }, "Expected `concurrency` of task x to be a whole number from 1"],
  [{ concurrency: "5" }, "Expected `concurrency` of task x to be a whole number, or { limit, key }, got 5"],
  [{ concurrency: { limit: 1, keys: () => "" } }, "There is no option `keys` of `concurrency` of task x"],
  [
    { concurrency: { limit: 1, key: "customer" } },
    'to be a function of the arguments or "limitKey", got customer',
  ],
  [{ rateLimit: 10 }, "Expected `rateLimit` of task x to be { max, duration, key }, got 10"],
  [
    { rateLimit: { max: 1 } },
    "Expected `rateLimit.duration` of task x to be a number of milliseconds above 0",
  ],
  [{ rateLimit: { max: 1, duration: 0 } }, "Expected `rateLimit.duration` of task x"],
  [{ rateLimit: { max: -1, duration: 1 } }, "Expected `rateLimit.max` of task x to be a whole number from 1"],
])("defineTask refuses a limit or a progress that it cannot use: %o", (options, message) => {
  const attempt = (): unknown => defineTask({ name: "x", ...options } as never, () => 1);
  expect(attempt).toThrow(TaskOptionsError);
  expect(attempt).toThrow(message);
});

test("a submission with a key that no limit uses, or that no engine stores, is refused", async () => {
  await using queue = new TaskQueue({ engine: "memory:task-options" });
  const free = defineTask({ name: "free" }, async () => {});
  const keyed = defineTask(
    { name: "keyed", concurrency: { limit: 1, key: ([key]) => key } },
    async (_key: string) => {},
  );
  const whole = defineTask({ name: "whole", concurrency: 1 }, async () => {});
  await expect(queue.with({ limitKey: "a" }).submit(free)).rejects.toThrow(TaskOptionsError);
  await expect(queue.with({ limitKey: "a" }).submit(whole)).rejects.toThrow("to have a limit with a `key`");
  await expect(queue.submit(keyed, 7 as never)).rejects.toThrow(
    "the key of a limit of task keyed to be a text",
  );
  await expect(queue.submit(keyed, "x".repeat(257))).rejects.toThrow("at most 256 characters");
  expect(() => queue.with({ limitKey: "a\0b" })).toThrow(TaskOptionsError);
  await expect(queue.with({ limitKey: "a" }).schedule("s", { every: 1_000 }, free)).rejects.toThrow(
    TaskOptionsError,
  );
});

test("a schedule refuses an unknown name of its times, such as BullMQ's, and a pattern by its field", async () => {
  await using queue = new TaskQueue({ engine: "memory:task-options" });
  const free = defineTask({ name: "free" }, async () => {});
  await expect(queue.schedule("s", { pattern: "0 3 * * *" } as never, free)).rejects.toThrow(
    "There is no option `pattern` of the times of a schedule. Known are: cron, every, timezone, until.",
  );
  await expect(queue.schedule("s", { cron: "0 3 * * *", timeZone: "UTC" } as never, free)).rejects.toThrow(
    "Did you mean timezone?",
  );
  await expect(queue.schedule("s", { cron: "0 25 * * *" }, free)).rejects.toThrow('field "hour" (25)');
});
