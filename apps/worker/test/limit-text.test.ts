import { expect, test } from "vitest";
import { failureText, limitText } from "../src/cli/job-text.ts";

const limit = { task: "crm.sync", max: 1, taken: 1, waiting: 4, ahead: 3 };

test("a parked job says what it waits for", () => {
  expect(limitText({ ...limit, kind: "concurrency", key: "ada" })).toBe(
    'a slot of the key "ada" (1 at once, 1 taken); 3 jobs before it',
  );
  expect(limitText({ ...limit, kind: "rate", max: 1_000, duration: 60_000, taken: 1_000, ahead: 1 })).toBe(
    "a slot of its task (1,000 starts in 60,000 ms, 1,000 taken); 1 job before it",
  );
  // A key is any text, and a terminal shows no control characters of it.
  expect(limitText({ ...limit, kind: "concurrency", key: "\u001B[31m" })).toContain('the key "\\u001b[31m"');
});

test("a failed attempt says when it started, how long it ran, and its error", () => {
  const startedAt = Date.UTC(2026, 10, 30, 12);
  const error = { name: "RangeError", message: "too\n  far" };
  expect(failureText({ ...error, attempt: 2, startedAt, endedAt: startedAt + 1_500 })).toBe(
    `attempt 2, started ${new Date(startedAt).toLocaleString()}, ran 1.5 s: RangeError: too far`,
  );
  // The worker of an older release has stored the error alone.
  expect(failureText(error)).toBe("an attempt: RangeError: too far");
});
