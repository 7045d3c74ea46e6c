import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { TaskQueue, TaskWorker } from "@taskloom/queue";
import { exploreCrashes } from "@taskloom/workflow/testing";
import { storeSchedules } from "../src/schedules.ts";
import { digest, sendMail } from "../src/tasks.ts";
import { welcome } from "../src/workflows.ts";

const engine = "memory:";

test("a task is a function", () => {
  assert.equal(digest("a").slice(0, 8), "ca978112");
});

test("a worker sends the two mails of a sign-up, a week apart", async () => {
  // In virtual time the week takes some milliseconds.
  const main = async (): Promise<void> => {
    const worker = new TaskWorker({ engine, tasks: [sendMail, welcome] }).run();
    const queue = new TaskQueue({ engine });
    const began = Date.now();
    assert.deepEqual(await queue.submit(welcome, "ada@example.com"), [
      '"Welcome" to ada@example.com',
      '"How is it going?" to ada@example.com',
    ]);
    assert.ok(Date.now() - began < 60_000);
    worker.cancel();
    await queue.close();
  };
  await run(main, { clock: virtualClock() });
});

test("the report runs at seven", async () => {
  const queue = new TaskQueue({ engine });
  await storeSchedules(queue);
  const [schedule] = await queue.schedules();
  assert.equal(new Date(schedule!.next ?? 0).getUTCHours(), 7);
  await queue.close();
});

test("a sign-up survives a crash before and after each step", async () => {
  await exploreCrashes(welcome, { args: ["ada@example.com"] });
});
