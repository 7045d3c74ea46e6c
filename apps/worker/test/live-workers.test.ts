import { defineTask, openEngine } from "@taskloom/queue";
import { expect } from "vitest";
import { redisTest } from "../../../test/support/redis.ts";
import { EngineOperations } from "../src/operations/engine-operations.ts";
import { Presence } from "../src/workers/presence.ts";
import { knownTasks } from "../src/workers/worker-view.ts";
import type { WorkerView } from "../src/workers/worker-view.ts";

const modules = [{ add: defineTask({ name: "test.add" }, async (a: number, b: number) => a + b) }];
const name = "a\0b\ud800";

/** A worker of another machine, in the form of its record. */
function seenAt(time: number, state: WorkerView["state"]): WorkerView {
  const lane = { running: 0, finished: 0, limit: 1 };
  return {
    id: "worker-elsewhere-1",
    slot: "elsewhere:1/0",
    host: "elsewhere",
    pid: 1,
    pidSpace: "elsewhere",
    node: process.version,
    version: "0",
    startedAt: time,
    seenAt: time,
    state,
    queues: ["default"],
    tasks: knownTasks(modules),
    lanes: { loop: lane, thread: lane },
    loop: { delayP50: 0, delayP99: 0, delayMax: 0, utilization: 0 },
    admission: { isThrottled: false, reductions: 0 },
    memory: { rss: 0, heap: 0 },
    jobs: [],
    tree: {
      roots: [{ name, state: "pending", stack: [], waitsFor: undefined, since: undefined, children: [] }],
      total: 1,
    },
  };
}

redisTest(
  "a worker that was seen lately serves its queue, though its record there is late",
  async ({ redis }) => {
    const engine = openEngine(redis.url);
    await engine.connect();
    const presence = new Presence(engine);
    const operations = new EngineOperations(engine, ["default"], modules);
    await presence.store(seenAt(engine.now(), "draining"));
    expect((await operations.submit("test.add", [1, 2])).notice).toMatch(
      /No live worker serves queue default/,
    );
    // The record is old, because the loop of the worker is late.
    await presence.store(seenAt(engine.now() - 20_000, "running"));
    expect((await operations.submit("test.add", [1, 2])).notice).toBeUndefined();
    expect((await operations.queues())["default"]?.workers).toBe(1);
    const [seen] = await operations.workers();
    expect(seen?.tree.roots[0]?.name).toBe("a\u2400b\ufffd");
    await operations.close();
    await presence.close();
    await engine.close();
  },
);
