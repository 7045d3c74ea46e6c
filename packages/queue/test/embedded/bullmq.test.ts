import { createPostgresBackend, withBackend } from "bullmq";
import { expect, onTestFinished, test } from "vitest";
import { EmbeddedDatabase } from "../../src/engines/embedded/embedded-database.ts";
import { startChild } from "./fixtures/child.ts";
import { newFolder } from "./fixtures/folder.ts";

const { Queue, QueueEvents, Worker, FlowProducer } = withBackend(createPostgresBackend);

test("a queue and a worker: results, failures with retries, delays, priorities, a flow", async () => {
  const database = await EmbeddedDatabase.open({ path: newFolder() });
  const connection = database.createPool();
  const queue = new Queue("work", { connection });
  const events = new QueueEvents("work", { connection });
  await events.waitUntilReady();
  const order: string[] = [];
  const worker = new Worker(
    "work",
    async (job) => {
      order.push(job.name);
      if (job.name === "fails once" && job.attemptsMade === 0) throw new Error("not yet");
      if (job.name === "parent") return Object.values(await job.getChildrenValues());
      return { doubled: job.data.n * 2 };
    },
    { connection, autorun: false },
  );
  onTestFinished(async () => {
    for (const each of [worker, events, queue]) await each.close();
    await database.close();
  });
  const jobs = [
    await queue.add("low", { n: 1 }, { priority: 10 }),
    await queue.add("high", { n: 2 }, { priority: 1 }),
    await queue.add("fails once", { n: 3 }, { attempts: 2, priority: 20 }),
    await queue.add("delayed", { n: 4 }, { delay: 50 }),
  ];
  const flow = new FlowProducer({ connection });
  const tree = await flow.add({
    name: "parent",
    queueName: "work",
    children: [{ name: "child", queueName: "work", data: { n: 5 } }],
  });
  const running = worker.run();
  const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
  expect(results).toEqual([2, 4, 6, 8].map((doubled) => ({ doubled })));
  expect(await tree.job.waitUntilFinished(events)).toEqual([{ doubled: 10 }]);
  expect(order.indexOf("high")).toBeLessThan(order.indexOf("low"));
  expect(order.filter((name) => name === "fails once")).toHaveLength(2);
  expect(await queue.getJobCounts("completed", "failed", "active")).toEqual({
    completed: 6,
    failed: 0,
    active: 0,
  });
  await flow.close();
  await worker.close();
  await running;
});

test("killed again and again: nothing that was acknowledged is lost, and what ran waits", async () => {
  const path = newFolder();
  const added = new Set<string>();
  const done = new Set<string>();
  for (let round = 0; round < 3; round += 1) {
    const child = startChild("work-until-killed.ts", [path, String(round * 100_000)]);
    // The two jobs that never end are running by the time 40 more are done.
    await child.line((line) => line.startsWith("recovered"));
    // This process handed them back when it looked, after the kill before.
    expect(child.lines[0]).toBe("recovered 0");
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (child.lines.filter((line) => line.startsWith("done")).length >= 40) resolve();
        else if (child.process.exitCode === null) setImmediate(look);
        else reject(new Error(child.errors()));
      };
      look();
    });
    child.process.kill("SIGKILL");
    await child.ended;
    for (const line of child.lines) {
      const [what, id = ""] = line.split(" ");
      if (what === "added") added.add(id);
      if (what === "done") done.add(id);
    }
    const database = await EmbeddedDatabase.open({ path });
    const connection = database.createPool();
    const { rows } = await connection.query<{ id: string; state: string; value: { squared: number } | null }>(
      "SELECT id, state, return_value AS value FROM job",
    );
    const stored = new Map(rows.map((row) => [row.id, row]));
    expect([...added].filter((id) => !stored.has(id))).toEqual([]);
    for (const id of done) {
      const n = Number(id.slice(1));
      expect(stored.get(id)).toEqual({ id, state: "completed", value: { squared: n ** 2 } });
    }
    expect(rows.filter(({ state }) => state === "active")).toEqual([]);
    expect(database.recovered).toBeGreaterThan(0);
    await database.close();
  }
}, 60_000);

test("every death counts for the job that was running, and a process that was closed is not blamed", async () => {
  const path = newFolder();
  const claim = async (): Promise<void> => {
    const database = await EmbeddedDatabase.open({ path });
    await database
      .createPool()
      .query("UPDATE job SET state = 'active', lock_token = 't' WHERE id = 'poison'");
    await database.close();
  };
  const first = await EmbeddedDatabase.open({ path });
  const queue = new Queue("work", { connection: first.createPool() });
  await queue.add("poison", {}, { jobId: "poison" });
  await queue.close();
  await first.close();
  await claim();
  await claim();
  const stalled = async (): Promise<unknown> => {
    const database = await EmbeddedDatabase.open({ path });
    const { rows } = await database
      .createPool()
      .query("SELECT state, stalled_count, deferred_failure FROM job WHERE id = 'poison'");
    await database.close();
    return rows[0];
  };
  expect(await stalled()).toEqual({ state: "waiting", stalled_count: 0, deferred_failure: null });
  for (const deaths of [1, 2]) {
    const child = startChild("claim-and-wait.ts", [path, "poison"]);
    await child.line((line) => line === "claimed");
    child.process.kill("SIGKILL");
    await child.ended;
    expect(await stalled()).toEqual({ state: "waiting", stalled_count: deaths, deferred_failure: null });
  }
});
