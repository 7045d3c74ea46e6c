import { gather } from "@taskloom/loop";
import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
import { defineSignal, defineWorkflow, step } from "@taskloom/workflow";
import { describe, expect } from "vitest";
import { stores } from "../../queue/test/engines.ts";

const one = defineTask({ name: "counts.one" }, async (n: number) => n);
const sequential = defineWorkflow({ name: "counts.sequential" }, function* (count: number) {
  let sum = 0;
  for (let n = 0; n < count; n++) sum += yield* step(one, 1);
  return sum;
});
const parallel = defineWorkflow({ name: "counts.parallel" }, function* (count: number) {
  const all = yield* gather(Array.from({ length: count }, (_, n) => step(one, n)));
  return all.length;
});
const ping = defineSignal<number>("ping");
const hears = defineWorkflow({ name: "counts.hears", residentFor: 0 }, function* (count: number) {
  const heard: number[] = [];
  while (heard.length < count) heard.push(yield* ping.receive());
  return heard.length;
});

describe.each(stores.filter(({ name }) => !/cluster|processes/.test(name)))("on $name", ({ test }) => {
  const counted = test.extend<{ lane: { queue: TaskQueue; take: () => [calls: number, runs: number] } }>({
    lane: async ({ engine: url }, use) => {
      const name = `counts-${Math.random().toString(36).slice(2)}`;
      const tasks = [one, sequential, parallel, hears];
      const worker = new TaskWorker({ engine: url, queues: [name], tasks, concurrency: 2_000 });
      const { journal } = worker.engine;
      let counts: [number, number] = [0, 0];
      const append = journal.append.bind(journal);
      journal.append = async (lane, appends) => {
        counts = [counts[0] + 1, counts[1] + appends.length];
        return await append(lane, appends);
      };
      const take = (): [number, number] => {
        const taken = counts;
        counts = [0, 0];
        return taken;
      };
      const running = worker.run();
      await worker.ready();
      const queue = new TaskQueue({ engine: url, name });
      await use({ queue, take });
      running.cancel();
      await running.catch(() => {});
      await queue.close();
      journal.append = append;
    },
  });

  counted("N sequential steps are N appends", async ({ lane: { queue, take } }) => {
    expect(await queue.submit(sequential, 20)).toBe(20);
    expect(take()).toEqual([20, 20]);
  });

  counted("a gather of 1,000 steps is at most 4 appends", async ({ lane: { queue, take } }) => {
    expect(await queue.submit(parallel, 1_000)).toBe(1_000);
    const [calls] = take();
    expect(calls).toBeLessThanOrEqual(4);
  });

  counted("100 runs of 10 steps at once are at most 40 appends", async ({ lane: { queue, take } }) => {
    const runs = Array.from({ length: 100 }, () => queue.submit(sequential, 10));
    expect(await Promise.all(runs)).toEqual(runs.map(() => 10));
    const [calls, appends] = take();
    expect(appends).toBe(1_000);
    expect(calls).toBeLessThanOrEqual(40);
  });

  counted(
    "no wake is lost: runs that park at once, under signals from several senders",
    async ({ lane: { queue } }) => {
      const senders = [1, 2, 3, 4];
      const runs = Array.from({ length: 50 }, () => queue.submit(hears, senders.length * 5));
      await Promise.all(runs.map((run) => run.sent()));
      const item = JSON.stringify(["s", "ping", 1]);
      await Promise.all(
        senders.map(async () => {
          for (let n = 0; n < 5; n++) {
            for (const { id } of runs)
              await queue.engine.journal.deliver(`${queue.name}.workflow`, id, [item]);
          }
        }),
      );
      expect(await Promise.all(runs)).toEqual(runs.map(() => 20));
    },
    60_000,
  );
});
