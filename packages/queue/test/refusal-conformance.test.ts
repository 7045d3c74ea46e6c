import { randomUUID } from "node:crypto";
import { TaskQueue, TaskWorker, openEngine } from "@taskloom/queue";
import type { Engine } from "@taskloom/queue";
import { afterEach, describe, expect, vi } from "vitest";
import { stores } from "./engines.ts";
import * as tasks from "./fixtures/tasks.ts";

type Lane = ReturnType<Engine["openLane"]>;

/** An engine of which one lane adds jobs in a way of the test's. */
function engineThatAdds(
  url: string,
  lane: string,
  add: (addBulk: Lane["addBulk"], jobs: Parameters<Lane["addBulk"]>[0]) => ReturnType<Lane["addBulk"]>,
): Engine {
  const engine = openEngine(url);
  const openLane = engine.openLane.bind(engine);
  vi.spyOn(engine, "openLane").mockImplementation((name) => {
    const opened = openLane(name);
    if (!name.endsWith(`.${lane}`)) return opened;
    const addBulk = opened.addBulk.bind(opened);
    opened.addBulk = (jobs) => add(addBulk, jobs);
    opened.add = async (task, data, opts) =>
      (await add(addBulk, [{ name: task, data, opts }]))[0] as { readonly id: string };
    return opened;
  });
  return engine;
}

// An engine of a folder is one object for all of a process, and so for the next test too.
afterEach(() => vi.restoreAllMocks());

describe.each(stores)("on $name", ({ name: engineName, test }) => {
  test("a refusal in one lane is no news about a job of the other lane", async ({ engine: url }) => {
    const engine = engineThatAdds(url, "loop", async () => {
      throw new Error("this lane is refused");
    });
    const name = `test-${randomUUID().slice(0, 8)}`;
    const queue = new TaskQueue({ engine, name });
    const onThread = queue.submit(tasks.countOnThread, 3);
    const onLoop = queue.submit(tasks.countTo, 4);
    await expect(onLoop).rejects.toThrow("this lane is refused");
    await onThread.sent();
    const worker = new TaskWorker({ engine, queues: [name], tasks: [tasks], threads: 1 });
    const running = worker.run();
    expect(await onThread).toBe(3);
    running.cancel();
    await running.catch(() => {});
    await queue.close();
    await engine.close();
  });

  // On shards a bulk has a part for each of them.
  test.skipIf(engineName.includes("shards"))(
    "jobs of a bulk that was refused in the middle are pending if they are stored",
    async ({ engine: url }) => {
      const engine = engineThatAdds(url, "loop", async (addBulk, jobs) => {
        await addBulk(jobs.slice(0, 2));
        throw new Error("no room for the third");
      });
      const name = `test-${randomUUID().slice(0, 8)}`;
      const queue = new TaskQueue({ engine, name });
      const [first, second, third] = [1, 2, 3].map((n) => queue.submit(tasks.countTo, n));
      await expect(third).rejects.toThrow("no room for the third");
      await first?.sent();
      await second?.sent();
      const worker = new TaskWorker({ engine, queues: [name], tasks: [tasks], threads: 1 });
      const running = worker.run();
      expect([await first, await second]).toEqual([1, 2]);
      running.cancel();
      await running.catch(() => {});
      await queue.close();
      await engine.close();
    },
  );
});
