import { TaskQueue, defineTask } from "@taskloom/queue";
import { expect, vi } from "vitest";
import { redisTest as test } from "../../../test/support/redis.ts";
import { encodeValue } from "../src/wire/encode.ts";

const task = defineTask({ name: "test.removed" }, async (n: number) => n);

test("a reply counts that comes after its job's record was found missing", async ({ redis }) => {
  await using queue = new TaskQueue({ engine: redis.url, name: "removed" });
  const waiting = queue.with({ keep: { completed: 0, failed: 0 } }).submit(task, 1);
  await waiting.sent();
  const look = vi.spyOn(queue.engine, "lookup");
  const bull = queue.engine.openQueue("removed.loop");
  const job = await bull.getJob(waiting.id);
  const reply = (job as unknown as { data: { reply: string } }).data.reply;
  await job?.remove();
  await expect
    .poll(() => look.mock.calls.some(([, ids]) => ids.includes(waiting.id)), { timeout: 30_000 })
    .toBe(true);
  await Promise.all(look.mock.results.map(({ value }) => value as Promise<unknown>));
  queue.engine.replies.send(reply, {
    id: waiting.id,
    outcome: { state: "completed", value: encodeValue(1) },
    attempts: 1,
  });
  expect(await waiting).toBe(1);
  await bull.close();
});

test("a job without a record and without a reply is lost", async ({ redis }) => {
  await using queue = new TaskQueue({ engine: redis.url, name: "lost" });
  const waiting = queue.with({ keep: { completed: 0, failed: 0 } }).submit(task, 1);
  await waiting.sent();
  const bull = queue.engine.openQueue("lost.loop");
  await (await bull.getJob(waiting.id))?.remove();
  await expect(waiting).rejects.toMatchObject({ code: "JOB_LOST" });
  await bull.close();
});
