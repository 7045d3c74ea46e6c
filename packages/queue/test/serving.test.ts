import { Redis } from "ioredis";
import { expect, test, vi } from "vitest";
import { redisTest } from "../../../test/support/redis.ts";
import type { Engine } from "../src/contract/engine.ts";
import { ServingKeys } from "../src/engines/redis/serving-keys.ts";
import { SERVE_INTERVAL_MS, SERVING_TTL_MS } from "../src/contract/serving.ts";
import { serveRegularly } from "../src/worker/serve-regularly.ts";

const worker = { id: "worker-1", queues: ["default"], tasks: { "test.add": 1 } };

redisTest("a worker whose records are late or refused ten times in a row still serves", async ({ redis }) => {
  const client = new Redis(redis.url);
  const serving = new ServingKeys(client, "serving-test");
  const start = 1_000_000;
  await serving.serve(worker, start);
  expect(await serving.all(start + 11 * SERVE_INTERVAL_MS)).toEqual([worker]);
  expect(await serving.all(start + SERVING_TTL_MS)).toEqual([]);
  await client.quit();
});

test("a worker stores its record again after the engine has refused it", async () => {
  vi.useFakeTimers();
  try {
    const answers = [
      () => Promise.resolve(),
      () => Promise.reject(new Error("deadlock detected")),
      () => Promise.resolve(),
    ];
    const serve = vi.fn<() => Promise<void>>(() => (answers.shift() ?? (() => Promise.resolve()))());
    const stopServing = vi.fn<() => Promise<void>>(() => Promise.resolve());
    const stop = await serveRegularly({ serve, stopServing } as unknown as Engine, worker);
    await vi.advanceTimersByTimeAsync(2 * SERVE_INTERVAL_MS);
    expect(serve).toHaveBeenCalledTimes(3);
    await stop();
    await vi.advanceTimersByTimeAsync(2 * SERVE_INTERVAL_MS);
    expect(serve).toHaveBeenCalledTimes(3);
    expect(stopServing).toHaveBeenCalledWith(worker.id);
  } finally {
    vi.useRealTimers();
  }
});
