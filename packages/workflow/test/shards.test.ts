import { sleep } from "@taskloom/loop";
import { TaskQueue, TaskWorker, defineTask, openEngine } from "@taskloom/queue";
import { defineSignal, defineWorkflow, submit, workflowRun } from "@taskloom/workflow";
import { expect } from "vitest";
import { shardsTest as test } from "../../queue/test/shards/shards-test.ts";

const note = defineSignal<number>("note");
const double = defineTask({ name: "shards.double" }, async (n: number) => 2 * n);
const child = defineWorkflow({ name: "shards.child" }, function* (n: number) {
  return yield* submit(double, n);
});
const order = defineWorkflow({ name: "shards.order", residentFor: 0 }, function* (n: number) {
  const first = yield* submit(double, n);
  const second = yield* submit(child, n);
  yield* sleep(20);
  return first + second + (yield* note.receive());
});

test("durable runs live on the shard of their id, and signals find them", async ({ startServers }) => {
  const { url } = await startServers(3);
  await using engine = openEngine(url);
  await using queue = new TaskQueue({ engine });
  const tasks = [double, child, order];
  await using worker = new TaskWorker({ engine: url, tasks });
  worker.run().catch(() => {});
  await worker.ready();
  const ids = Array.from({ length: 12 }, (_, n) => `order-${n}`);
  const runs = ids.map((id, n) => queue.with({ id }).submit(order, n));
  const named = Array.from({ length: 6 }, (_, n) => queue.submit(order, n));
  for (const run of [...runs, ...named]) await run.sent();
  const shards = runs.map(({ id }) => engine.shardOf!("default.workflow", id));
  expect(new Set(shards).size).toBe(3);
  for (const run of [...runs, ...named]) await workflowRun(queue, run).signal(note, 100);
  expect(await Promise.all(runs)).toEqual(runs.map((_, n) => 4 * n + 100));
  expect(await Promise.all(named)).toEqual(named.map((_, n) => 4 * n + 100));
});

test("a run waits while its shard is away, and the others go on", async ({ startServers }) => {
  const { url, servers } = await startServers(2, { appendonly: true });
  await using engine = openEngine(url);
  await using queue = new TaskQueue({ engine });
  await using worker = new TaskWorker({ engine: url, tasks: [double, child, order] });
  worker.run().catch(() => {});
  await worker.ready();
  const runs = Array.from({ length: 8 }, (_, n) => queue.with({ id: `order-${n}` }).submit(order, n));
  // Each run has its results, and waits for its signal.
  for (const run of runs) await expect.poll(() => run.state(), { timeout: 20_000 }).toBe("delayed");
  const onLost = runs.filter(({ id }) => engine.shardOf!("default.workflow", id) === 1);
  const others = runs.filter((run) => !onLost.includes(run));
  expect(onLost.length * others.length).toBeGreaterThan(0);
  await servers[1]!.kill();
  for (const run of others) await workflowRun(queue, run).signal(note, 1);
  expect(await Promise.all(others)).toHaveLength(others.length);
  expect(onLost.some((run) => run.done())).toBe(false);
  const signals = onLost.map((run) => workflowRun(queue, run).signal(note, 1));
  await servers[1]!.restart();
  await Promise.all(signals);
  expect(await Promise.all(onLost)).toHaveLength(onLost.length);
});

test("a run's job of a limited task is refused: its shard is that of the run", async ({ startServers }) => {
  const { url } = await startServers(2);
  const limited = defineTask({ name: "shards.limited", concurrency: 1 }, async (n: number) => n);
  const caller = defineWorkflow({ name: "shards.caller" }, function* (n: number) {
    return yield* submit(limited, n);
  });
  await using queue = new TaskQueue({ engine: url });
  await using worker = new TaskWorker({ engine: url, tasks: [limited, caller] });
  worker.run().catch(() => {});
  await expect(queue.submit(caller, 1)).rejects.toMatchObject({ code: "ENGINE_UNSUPPORTED" });
  expect(await queue.submit(limited, 2)).toBe(2);
});
