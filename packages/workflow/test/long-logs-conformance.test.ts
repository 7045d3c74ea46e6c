import { defineTask, TaskWorker } from "@taskloom/queue";
import type { TaskQueue } from "@taskloom/queue";
import { defineSignal, defineWorkflow, step, workflowRun } from "@taskloom/workflow";
import type { WorkflowDefinition } from "@taskloom/workflow";
import { describe, expect } from "vitest";
import { stores } from "../../queue/test/engines.ts";
import { pairTest } from "../../queue/test/pair.ts";

const UNTIL = { timeout: 30_000, interval: 20 };
const note = defineSignal<number>("note");
const one = defineTask({ name: "logs.one" }, async (n: number) => n);
const text = defineTask({ name: "logs.text" }, async (size: number) => "x".repeat(size));

/** The number of times that the code has gone past each of its steps: a replay goes past all of them again. */
let passed = 0;
const long = defineWorkflow({ name: "logs.long", check: "off", residentFor: 0 }, function* (count: number) {
  let sum = 0;
  for (let n = 0; n < count; n++) {
    sum += yield* step(one, 1);
    passed++;
  }
  for (;;) {
    const n = yield* note.receive();
    if (n === 0) return sum;
    sum += n;
  }
});

interface Working {
  readonly reads: readonly number[];
  stop(): Promise<void>;
}

/** Starts a worker that notes the positions at which it reads logs and opens runs. */
async function work(
  queue: TaskQueue,
  url: string,
  tasks: object[],
  onWarning = (_warning: object): void => {},
): Promise<Working> {
  const worker = new TaskWorker({ engine: url, queues: [queue.name], tasks, onWarning });
  const { journal } = worker.engine;
  const read = journal.read.bind(journal);
  const reads: number[] = [];
  journal.read = async (lane, id, from, count) => {
    reads.push(from);
    return await read(lane, id, from, count);
  };
  const running = worker.run();
  await worker.ready();
  const stop = async (): Promise<void> => {
    running.cancel();
    await Promise.allSettled([running]);
    journal.read = read;
  };
  return { reads, stop };
}

describe.each(stores.filter(({ name }) => !/cluster|processes/.test(name)))(
  "long logs on $name",
  ({ test: engineTest }) => {
    const test = pairTest(engineTest);

    test("a log of more than a page is replayed page by page, and a cached run is not replayed", async ({
      pair: { queue, engine: url },
    }) => {
      passed = 0;
      const count = 1_100;
      const first = await work(queue, url, [long, one]);
      const run = workflowRun(queue, queue.submit(long, count));
      const isParked = async (unread = 0): Promise<void> => {
        await expect.poll(() => run.status(), UNTIL).toMatchObject({ state: "parked", unread });
      };
      await expect.poll(() => passed, UNTIL).toBe(count);
      await isParked();
      for (const n of [1, 2]) {
        await run.signal(note, n);
        await isParked();
      }
      expect(passed).toBe(count);
      expect(first.reads).toEqual([]);
      await first.stop();

      const second = await work(queue, url, [long, one]);
      await run.signal(note, 3);
      await isParked();
      expect(passed).toBe(2 * count);
      // The answer to the opening has the first page.
      expect(second.reads).toEqual([500, 1_000]);
      await run.signal(note, 0);
      expect(await run.result()).toBe(count + 6);
      expect(passed).toBe(2 * count);
      await second.stop();
    }, 60_000);

    test("a cached run whose log has grown elsewhere is dropped and replayed", async ({
      pair: { queue, engine: url },
    }) => {
      passed = 0;
      const worker = await work(queue, url, [long, one]);
      const run = workflowRun(queue, queue.submit(long, 3));
      const { journal } = queue.engine;
      const lane = `${queue.name}.workflow`;
      await expect.poll(() => passed, UNTIL).toBe(3);
      await expect.poll(() => run.status(), UNTIL).toMatchObject({ state: "parked", unread: 0 });
      // Another owner has consumed a signal meanwhile.
      const { epoch, generation, length, read } = (await journal.head(lane, run.id))!;
      const entry = JSON.stringify([queue.engine.now(), [["s", "note", 5]], []]);
      const append = {
        id: run.id,
        epoch: epoch + 1,
        generation,
        at: length,
        entries: [entry],
        consume: read,
      };
      expect(await journal.append(lane, [append])).toMatchObject([{ kind: "ok" }]);
      await run.signal(note, 0);
      expect(await run.result()).toBe(8);
      expect(passed).toBe(6);
      await worker.stop();
    });

    test("check: always replays a history that is too long for the memory, too", async ({
      pair: { queue, engine: url },
    }) => {
      let calls = 0;
      const impure = defineWorkflow({ name: "logs.impure", check: "always" }, function* () {
        yield* step(one, ++calls);
        for (let n = 0; n < 10; n++) yield* step(text, 10_000);
        return calls;
      });
      const warnings: object[] = [];
      const tasks: (WorkflowDefinition | object)[] = [impure, one, text];
      const worker = await work(queue, url, tasks, (warning) => void warnings.push(warning));
      expect(await queue.submit(impure)).toBe(1);
      await expect.poll(() => warnings, UNTIL).toMatchObject([{ code: "RUN_IMPURE" }]);
      await worker.stop();
    });
  },
);
