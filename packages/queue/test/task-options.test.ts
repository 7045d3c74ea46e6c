import { defineTask, TaskOptionsError } from "@taskloom/queue";
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
