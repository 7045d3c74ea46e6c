import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
import { Redis } from "ioredis";
import { expect, vi } from "vitest";
import { RedisEngine } from "../src/engines/redis/redis-engine.ts";
import { redisTest } from "../../../test/support/redis.ts";

redisTest(
  "a worker that removes what is due, day after day, leaves nothing on its connection",
  async ({ redis }) => {
    const count = vi.spyOn(Redis.prototype, "zcount");
    const engine = RedisEngine.open(redis.url);
    const task = defineTask({ name: "test.short" }, async () => 1);
    const queue = new TaskQueue({ engine, name: "days" });
    const worker = new TaskWorker({ engine, queues: ["days"], tasks: [task] });
    const running = worker.run();
    await worker.ready();
    const listeners: number[] = [];
    try {
      for (let day = 0; day < 4; day++) {
        await queue.submit(task);
        await engine.removeExpired("days.loop", engine.now() + 24 * 3_600_000);
        const client = count.mock.contexts.at(-1) as Redis;
        listeners.push(client.eventNames().reduce((sum, name) => sum + client.listenerCount(name), 0));
      }
      expect(await queue.counts()).toMatchObject({ completed: 0 });
    } finally {
      count.mockRestore();
      running.cancel();
      await running.catch(() => {});
      await queue.close();
      await engine.close();
    }
    expect(new Set(listeners.slice(1))).toEqual(new Set([listeners[0]]));
  },
);
