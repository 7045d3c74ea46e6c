import { expect, test } from "vitest";
import { humanLine } from "../src/terminal/human-log.ts";

const time = new Date(2026, 0, 2, 3, 4, 5, 6).getTime();

test("a line has the time of day, the level, the message and the other fields", () => {
  const line = JSON.stringify({ level: 30, time, pid: 7, msg: "job completed", job: "loop.1", ms: 12 });
  expect(humanLine(line, false)).toBe("03:04:05.006 INFO  job completed job=loop.1 ms=12");
  expect(humanLine(line, true)).toBe(
    "\u001b[90m03:04:05.006\u001b[39m \u001b[32mINFO \u001b[39m job completed \u001b[90mjob=loop.1 ms=12\u001b[39m",
  );
});

test("an error has its stack below, and control characters are escaped", () => {
  const err = { type: "Error", message: "no", stack: "Error: no\n    at a (file.ts:1:1)" };
  const line = JSON.stringify({ level: 50, time, msg: "\u001b[2Jjob failed", err });
  expect(humanLine(line, false)).toBe(
    "03:04:05.006 ERROR \\x1b[2Jjob failed\n  Error: no\n      at a (file.ts:1:1)",
  );
});

test("a text that is no line of the log is left as it is", () => {
  expect(humanLine("plain", false)).toBe("plain");
});
