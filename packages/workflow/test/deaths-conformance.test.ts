import { Event, sleep } from "@taskloom/loop";
import { defineTask, TaskWorker, WorkerDiedError } from "@taskloom/queue";
import type { TaskQueue } from "@taskloom/queue";
import { defineWorkflow, step } from "@taskloom/workflow";
import { describe, expect } from "vitest";
import { stores } from "../../queue/test/engines.ts";
import { pairTest } from "../../queue/test/pair.ts";

const LONG_MS = 3_600_000;
const plus = defineTask({ name: "deaths.plus" }, async (n: number) => n + 1);

/** A step that ends at once in the first `quick` calls, and never in others. */
class Slow {
  calls = 0;
  readonly begun = new Event();
  quick = 0;

  readonly task = defineTask({ name: "deaths.slow" }, async (n: number) => {
    if (++this.calls <= this.quick) return n;
    this.begun.set();
    await sleep(LONG_MS);
    return n;
  });
}

/** Lets a worker begin a slow step and die: it hands its run back, and the engine does not hear of it. */
async function live(queue: TaskQueue, url: string, tasks: object[], slow: Slow): Promise<void> {
  const worker = new TaskWorker({ engine: url, queues: [queue.name], tasks, drain: 0 });
  const { journal } = worker.engine;
  const release = journal.release.bind(journal);
  journal.release = async () => {};
  slow.begun.clear();
  const running = worker.run();
  await slow.begun.wait();
  running.cancel();
  await Promise.allSettled([running]);
  journal.release = release;
}

describe.each(stores.filter(({ name }) => !/cluster|processes/.test(name)))(
  "deaths on $name",
  ({ test: engineTest }) => {
    const test = pairTest(engineTest);

    test("a run that is in four dying workers at one length fails, and its retry goes on", async ({
      pair,
    }) => {
      const slow = new Slow();
      const program = defineWorkflow({ name: "deaths.stuck" }, function* () {
        return (yield* step(slow.task, 1)) + (yield* step(slow.task, 2));
      });
      const { queue, engine: url } = pair;
      const run = queue.submit(program);
      await run.sent();
      slow.quick = 1;
      for (let deaths = 0; deaths < 4; deaths++) await live(queue, url, [program, slow.task], slow);
      expect(slow.calls).toBe(5);
      await pair.work([program, slow.task]);
      const error: unknown = await run.then(undefined, (failure: unknown) => failure);
      expect(error).toBeInstanceOf(WorkerDiedError);
      expect(error).toMatchObject({ code: "WORKER_DIED" });
      expect((error as Error).message).toContain("each of 4 workers that died at tick 2");
      expect(slow.calls).toBe(5);
      slow.quick = Infinity;
      expect(await queue.retry(run.id)).toBe(3);
      // The first step had its end.
      expect(slow.calls).toBe(6);
    }, 60_000);

    test("the retry of a run whose code has failed begins its history anew", async ({ pair }) => {
      let tries = 0;
      const fails = defineTask({ name: "deaths.fails" }, async () => {
        if (++tries < 3) throw new RangeError(`try ${tries}`);
        return tries;
      });
      let isMended = false;
      const program = defineWorkflow({ name: "deaths.failed", check: "off" }, function* (n: number) {
        return (isMended ? yield* step(plus, n) : n) + (yield* step(fails));
      });
      const queue = await pair.work([program, fails, plus]);
      const run = queue.submit(program, 10);
      await expect(run).rejects.toThrow("try 1");
      await expect(queue.retry(run.id)).rejects.toThrow("try 2");
      // The code is mended between both: it need not follow the history that has failed.
      isMended = true;
      expect(await queue.retry(run.id)).toBe(14);
      expect(tries).toBe(3);
    }, 60_000);

    test("a run that has made progress between the deaths goes on", async ({ pair }) => {
      const slow = new Slow();
      const program = defineWorkflow({ name: "deaths.progress" }, function* (count: number) {
        let sum = 0;
        for (let n = 0; n < count; n++) sum += yield* step(slow.task, 1);
        return sum;
      });
      const { queue, engine: url } = pair;
      const run = queue.submit(program, 8);
      await run.sent();
      for (let deaths = 1; deaths <= 7; deaths++) {
        slow.quick = slow.calls + 1;
        await live(queue, url, [program, slow.task], slow);
      }
      slow.quick = Infinity;
      await pair.work([program, slow.task]);
      expect(await run).toBe(8);
    }, 60_000);
  },
);
