import { TaskQueue, defineTask } from "@taskloom/queue";
import { Redis } from "ioredis";
import { expect } from "vitest";
import { redisTest as test } from "../../../test/support/redis.ts";

const echo = defineTask({ name: "test.echo" }, async (value: unknown) => value);

test("a cancel whose claim lapses before the end is stored claims again", async ({ redis }) => {
  const client = new Redis(redis.url);
  await using queue = new TaskQueue({ engine: redis.url, name: "lapsed-claim" });
  const job = queue.submit(echo, 1);
  await job.sent();
  const { engine } = queue;
  const cancel = engine.cancel.bind(engine);
  let claims = 0;
  engine.cancel = async (...args) => {
    const answer = await cancel(...args);
    if (claims++ === 0) await client.del(`taskloom:lapsed-claim.loop:${job.id}:lock`);
    return answer;
  };
  job.catch(() => {});
  expect(await queue.drain()).toBe(1);
  expect(claims).toBeGreaterThan(1);
  await expect(job).rejects.toThrow("drained");
  await client.quit();
});
