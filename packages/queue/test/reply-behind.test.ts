import { Redis } from "ioredis";
import { expect } from "vitest";
import type { ReplyMessage } from "../src/contract/replies.ts";
import { ConnectionCutError } from "../src/contract/connection-cut.ts";
import { ReplyStream, sendBehindScript } from "../src/engines/redis/reply-stream.ts";
import { redisTest } from "../../../test/support/redis.ts";

const job = "test:default:some-id";
const run = { laneName: "default", id: "some-id", attemptsStarted: 2 };
const outcome = (value: string): ReplyMessage => ({
  id: "some-id",
  outcome: { state: "completed", value },
  attempts: 1,
});

redisTest("a reply goes behind the end of its own run, and behind nothing else", async ({ redis }) => {
  const client = new Redis(redis.url);
  const replies = new ReplyStream(client, "test", "some-client", async (keys, values) =>
    client.eval(sendBehindScript, keys.length, ...keys, ...values),
  );
  try {
    const received: ReplyMessage[] = [];
    const last = Promise.withResolvers<void>();
    await replies.listen(
      (message) => {
        received.push(message);
        if (received.length === 2) last.resolve();
      },
      () => {},
    );
    const sent = (value: string): Promise<boolean> => replies.sendBehind("some-client", outcome(value), run);

    expect(await sent("no record")).toBe(false);
    await client.hset(job, { ats: "2", name: "some-task" });
    expect(await sent("not ended")).toBe(false);
    await client.hset(job, { finishedOn: "1", failedReason: "no" });
    expect(await sent("failed")).toBe(false);
    await client.hset(job, { returnvalue: "1" });
    await client.hset(job, { ats: "3" });
    expect(await sent("another run ended it")).toBe(false);
    await client.hset(job, { ats: "2" });
    expect(await sent("first")).toBe(true);
    expect(await sent("second")).toBe(true);
    await last.promise;
    expect(received).toEqual([outcome("first"), outcome("second")]);
  } finally {
    await client.del(job);
    replies.close();
    client.disconnect();
  }
});

redisTest("a reply whose connection is cut was not sent, and rejects nowhere", async ({ redis }) => {
  const client = new Redis(redis.url);
  const replies = new ReplyStream(client, "test", "some-client", async () => {
    throw new ConnectionCutError("The connection was cut.");
  });
  expect(await replies.sendBehind("some-client", outcome("lost"), run)).toBe(false);
  replies.close();
  client.disconnect();
});
