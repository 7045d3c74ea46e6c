import { UnrecoverableError } from "@taskloom/queue";
import { expect, test } from "vitest";
import { answerTo } from "../src/service/http/errors.ts";
import { didYouMean } from "@taskloom/loop/did-you-mean";
import { ServiceError } from "../src/errors/service-error.ts";

test.each([
  ['could not extend file "base/5/16755": No space left on device', 507, "ENGINE_FULL"],
  ["OOM command not allowed when used memory > 'maxmemory'.", 507, "ENGINE_FULL"],
  [
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    507,
    "ENGINE_FULL",
  ],
  ["connect ECONNREFUSED secret-host", 500, "INTERNAL"],
])("%s is answered with %i %s", (message, status, code) => {
  const answer = answerTo(new Error(message) as never);
  expect(answer).toMatchObject({ status, code });
  // Unexpected errors go to the log only.
  expect(answer.message).not.toContain("secret-host");
});

test("errors with a code of our own keep their message", () => {
  expect(answerTo(new ServiceError(404, "JOB_UNKNOWN", "there is no job x") as never)).toEqual({
    status: 404,
    code: "JOB_UNKNOWN",
    message: "there is no job x",
  });
  expect(answerTo(new UnrecoverableError("no") as never)).toMatchObject({
    status: 400,
    code: "UNRECOVERABLE",
  });
});

test("a hint names the nearest known name, and is empty if none is near", () => {
  expect(didYouMean("image.thumbnial", ["image.thumbnail", "mail.send"])).toBe(
    " Did you mean image.thumbnail?",
  );
  expect(didYouMean("report", ["image.thumbnail", "mail.send"])).toBe("");
});
