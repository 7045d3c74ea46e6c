import { expect, test } from "vitest";
import { errorText, userStack } from "../src/terminal/user-stack.ts";

const stack = `RangeError: no disk
with a second line at night
    at write (file:///srv/app/src/tasks.ts:4:9)
    at file:///srv/app/node_modules/@taskloom/queue/dist/worker/worker.js:812:33
    at Task.run (/srv/app/node_modules/@taskloom/loop/dist/task/task.js:81:7)
    at process.processTicksAndRejections (node:internal/process/task_queues:104:5)
    at call (/srv/app/node_modules/other/dist/index.js:1:1)
    at attempt 3 of 3 of job loop.1 (mail.send)`;

test("a stack is shown without the lines of Taskloom and Node", () => {
  expect(userStack(stack)).toBe(`RangeError: no disk
with a second line at night
    at write (file:///srv/app/src/tasks.ts:4:9)
    at call (/srv/app/node_modules/other/dist/index.js:1:1)
    at attempt 3 of 3 of job loop.1 (mail.send)`);
});

test("an error without a stack is shown by its name and message", () => {
  expect(errorText({ name: "TypeError", message: "no" })).toBe("TypeError: no");
});
