import { randomUUID } from "node:crypto";
import { TaskQueue, TaskWorker, currentJob, defineTask, openEngine } from "@taskloom/queue";
import { describe, expect, vi } from "vitest";
import { stores, unsharded } from "./engines.ts";
import { Pair } from "./pair.ts";

const echo = defineTask({ name: "test.echo" }, async (value: unknown) => value);
const tellDeadline = defineTask({ name: "test.tell-deadline" }, async () => currentJob()?.deadline);

describe.each(unsharded)("BullMQ's queue on $name", ({ name: engineName, test }) => {
  test("BullMQ's queue can be opened before the engine is connected, and shows what is submitted then", async ({
    engine: url,
  }) => {
    const engine = openEngine(url);
    const name = `test-${randomUUID().slice(0, 8)}`;
    if (engineName === "memory") {
      expect(() => engine.openQueue(`${name}.loop`)).toThrow(
        expect.objectContaining({ code: "ENGINE_UNSUPPORTED" }),
      );
      return await engine.close();
    }
    const bull = engine.openQueue(`${name}.loop`);
    const counting = bull.getJobCounts("waiting"); // Connects by itself.
    const queue = new TaskQueue({ engine, name });
    const job = queue.submit(echo, 1);
    await job.sent();
    await counting;
    expect(await bull.getJobCounts("waiting")).toMatchObject({ waiting: 1 });
    const worker = new TaskWorker({ engine, queues: [name], tasks: [echo] }).run();
    expect(await job).toBe(1);
    worker.cancel();
    await worker.catch(() => {});
    await queue.close();
    await bull.close();
    await engine.close();
  });
});

describe.each(stores)("on $name", ({ name: engineName, test }) => {
  test("a deadline is meant in the engine's clock from the first submission on", async ({ engine: url }) => {
    // This machine is an hour ahead of the engine, where the engine has a clock of its own.
    const ahead = engineName.startsWith("redis") || engineName === "postgres" ? 3_600_000 : 0;
    const now = Date.now.bind(Date);
    const clock = vi.spyOn(Date, "now").mockImplementation(() => now() + ahead);
    const pair = new Pair(url);
    const job = pair.queue.with({ deadline: 600_000 }).submit(tellDeadline);
    await job.sent();
    clock.mockRestore(); // The worker's machine is right.
    await pair.work([tellDeadline]);
    const left = ((await job) ?? Infinity) - now();
    expect(left).toBeLessThanOrEqual(600_000 + 1_000);
    expect(left).toBeGreaterThan(500_000);
    await pair.close();
  });

  test("an engine is let go of once by each of its users, however often they close it", async ({
    engine: given,
  }) => {
    const url = engineName === "memory" ? `memory:${randomUUID()}` : given;
    const name = `test-${randomUUID().slice(0, 8)}`;
    const keeper = new TaskQueue({ engine: url, name });
    const job = keeper.submit(echo, "kept");
    await job.sent();
    const closed = new TaskQueue({ engine: url, name });
    await closed.close();
    await closed.shutdown();
    await closed.close();
    const shutDown = new TaskQueue({ engine: url, name });
    await Promise.all([shutDown.shutdown(), shutDown.shutdown()]);
    await shutDown.close();
    const opened = openEngine(url);
    await opened.connect();
    await Promise.all([opened.close(), opened.close()]);
    await opened.close();
    expect(await keeper.counts()).toMatchObject({ waiting: 1 });
    const worker = new TaskWorker({ engine: url, queues: [name], tasks: [echo] }).run();
    expect(await job).toBe("kept");
    worker.cancel();
    await worker.catch(() => {});
    await keeper.close();
  });
});
