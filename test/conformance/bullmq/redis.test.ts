import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { ownRedisTest } from "../../support/redis.ts";
import { compare, firstDifference } from "./compare.ts";
import { redisSides } from "./redis-sides.ts";

ownRedisTest(
  "300 random sequences store the same through the driver as through BullMQ's own commands",
  { timeout: 300_000 },
  async ({ redis }) => {
    const client = new Redis(redis.url);
    await client.config("SET", "stream-node-max-bytes", "0"); // Then even the trims of the events are comparable.
    const sides = redisSides(redis.url);
    try {
      for (let index = 0; index < 300; index++)
        expect(await compare(sides, { seed: 1, index, isStepwise: index % 10 === 0 })).toBeUndefined();
    } finally {
      await sides.close();
      client.disconnect();
    }
  },
);

ownRedisTest("a driver that loses an event is noticed", { timeout: 120_000 }, async ({ redis }) => {
  const client = new Redis(redis.url);
  const sides = redisSides(redis.url);
  const driver: typeof sides.driver = async (settings, now) => {
    const side = await sides.driver(settings, now);
    const snapshot = async () => {
      const [key] = await client.keys("*:main:events");
      if (key !== undefined) await client.xtrim(key, "MAXLEN", 1);
      return await side.snapshot();
    };
    return { ...side, snapshot };
  };
  const found = await compare({ ...sides, driver }, { seed: 1, index: 0, isStepwise: false });
  expect(found?.at).toContain(":main:events");
  await sides.close();
  client.disconnect();
});

test("the first difference of two values is named by its path", () => {
  expect(firstDifference("data", { a: [1, 2] }, { a: [1, 3] })).toEqual({
    at: "data / a / 1",
    bullmq: 2,
    driver: 3,
  });
});
