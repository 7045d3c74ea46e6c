import { setTimeout as delay } from "node:timers/promises";
import { TaskQueue, TaskWorker, call, currentJob, defineTask, openEngine } from "@taskloom/queue";
import { openShards } from "@taskloom/queue/operating";
import { expect, test } from "vitest";
import { startReplicatedCluster } from "../support/replicated-cluster.ts";
import { full } from "./support/fault-test.ts";

const runs = new Map<number, number>();
const double = defineTask({ name: "failover.double", attempts: 3 }, async (n: number) => {
  runs.set(n, (runs.get(n) ?? 0) + 1);
  await delay(5);
  return 2 * n;
});
const sum = defineTask({ name: "failover.sum", attempts: 3 }, async () =>
  (currentJob()!.childResults as number[]).reduce((total, each) => total + each, 0),
);
const shardIn = (id: string): number => Number(/~s(\d+)$/.exec(id)?.[1]);

/** The time before which no replica takes over. */
const REPLICA_MS = 1_500;
/** The time for which work is submitted after the kill. */
const LOAD_MS = 12_000;

// In the full form only. Not settled: this test has failed on a loaded machine, and it is not known whether the six servers that
// share its processor miss their deadlines, or a job waits too long after the replica has taken over.
test("a master of a cluster is killed under load: its shards wait for the replica, and the others go on", async ({
  skip,
}) => {
  if (!full) skip("in the full form only (pnpm faults): see the comment above the test");
  const cluster = await startReplicatedCluster();
  try {
    const url = `${cluster.url}?shards=6`;
    await using engine = openEngine(url);
    await using queue = new TaskQueue({ engine });
    await using worker = new TaskWorker({ engine: url, tasks: [double, sum], concurrency: 20 });
    worker.run().catch(() => {});
    await worker.ready();
    await using admin = openShards(cluster.url);
    const { shards } = await admin.read();
    const masters = shards.map(({ place }) => place.split(" at ")[1]!);
    // Two shards on each of the three masters.
    for (const master of masters) expect(masters.filter((each) => each === master)).toHaveLength(2);

    const tasks: { readonly shard: number; readonly task: PromiseLike<number>; readonly expected: number }[] =
      [];
    const endedAt: { readonly shard: number; readonly at: number }[] = [];
    const add = (task: PromiseLike<number> & { readonly id: string }, expected: number): void => {
      const shard = shardIn(task.id);
      tasks.push({ shard, task, expected });
      task.then(
        () => endedAt.push({ shard, at: performance.now() }),
        () => {},
      );
    };
    let n = 0;
    const load = async (until: number): Promise<void> => {
      while (performance.now() < until) {
        for (let each = 0; each < 6; each++, n++) add(queue.submit(double, n), 2 * n);
        const [a, b] = [n++, n++];
        add(queue.flow(call(sum), [call(double, a), call(double, b)]), 2 * (a + b));
        await delay(50);
      }
    };
    await load(performance.now() + 1_500);
    const killed = masters[1]!;
    const lost = new Set(masters.flatMap((master, shard) => (master === killed ? [shard] : [])));
    await cluster.node(killed).kill();
    const killedAt = performance.now();
    await load(killedAt + LOAD_MS);
    const results = await Promise.all(tasks.map(({ task }) => task));
    expect(results).toEqual(tasks.map(({ expected }) => expected));
    const back = Math.min(
      ...endedAt.filter(({ shard, at }) => lost.has(shard) && at > killedAt + REPLICA_MS).map(({ at }) => at),
    );
    const others = endedAt.filter(({ shard, at }) => !lost.has(shard) && at > killedAt && at < back).length;
    // The replica takes over after two seconds at the earliest. The other shards have gone on meanwhile.
    expect(others).toBeGreaterThan(0);
    const twice = [...runs.values()].filter((count) => count > 1).length;
    console.log(
      `failover: ${tasks.length} jobs and flows, ${runs.size} runs of ${n} jobs, ${twice} ran twice; the shards of the killed master went on ${Math.round(back - killedAt)} ms after the kill`,
    );
    for (let each = 0; each < n; each++)
      expect(runs.get(each), `runs of job ${each}`).toBeGreaterThanOrEqual(1);
    expect((await admin.read()).shards.map(({ state }) => state)).toEqual(
      Array.from({ length: 6 }, () => "open"),
    );
    expect(await queue.counts()).toMatchObject({ waiting: 0, active: 0, failed: 0 });
  } finally {
    await cluster.stop();
  }
}, 120_000);
