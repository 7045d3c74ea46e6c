import { setImmediate } from "node:timers/promises";
import { createTask, sleep } from "@taskloom/loop";
import { defineTask, TaskWorker } from "@taskloom/queue";
import type { Engine, TaskQueue } from "@taskloom/queue";
import { defineSignal, defineWorkflow, step, submit, workflowRun } from "@taskloom/workflow";
import { describe, expect } from "vitest";
import { stores } from "../../queue/test/engines.ts";
import { pairTest } from "../../queue/test/pair.ts";

/** A wake within this time comes neither from the look at the inbox each 5 seconds, nor from the first parking's end. */
const SOON_MS = 4_000;
const LONG_MS = 60_000;
const ITEM = JSON.stringify(["s", "note", 7]);
const note = defineSignal<number>("note");
const endless = defineTask({ name: "wakes.endless" }, async () => await sleep(LONG_MS));
/** The times between the ends of jobs and the next step of their runs, in milliseconds. */
const wakes: number[] = [];
const double = defineTask({ name: "wakes.double" }, async (n: number) => [2 * n, Date.now()] as const);
const refuses = defineTask({ name: "wakes.refuses" }, async () => {
  throw new Error("no");
});
const hears = defineWorkflow({ name: "wakes.hears", residentFor: 0 }, function* () {
  return yield* note.receive();
});
const hearsTwo = defineWorkflow({ name: "wakes.hears-two", residentFor: 0 }, function* () {
  return (yield* note.receive()) + (yield* note.receive());
});
const stays = defineWorkflow({ name: "wakes.stays", residentFor: LONG_MS }, function* (count: number) {
  let sum = 0;
  for (let n = 0; n < count; n++) sum += yield* note.receive();
  return sum;
});
const steps = defineWorkflow({ name: "wakes.steps" }, function* () {
  const working = createTask(step(endless));
  const n = yield* note.receive();
  working.cancel();
  return n;
});
const asks = defineWorkflow({ name: "wakes.asks", residentFor: 0 }, function* (n: number) {
  const [doubled, endedAt] = yield* submit(double, n);
  wakes.push(Date.now() - endedAt);
  return doubled;
});
const asksChild = defineWorkflow({ name: "wakes.asks-child", residentFor: 0 }, function* (n: number) {
  return yield* submit(asks, n);
});
const catches = defineWorkflow({ name: "wakes.catches", residentFor: 0 }, function* () {
  try {
    yield* submit(refuses);
  } catch (error) {
    return (error as Error).message;
  }
  return "";
});
const tasks = [endless, double, refuses, hears, hearsTwo, stays, steps, asks, asksChild, catches];

/** Runs a worker whose journal is changed, and whose sweep wakes nothing. */
async function withWorker(
  queue: TaskQueue,
  url: string,
  change: (engine: Engine) => void,
  use: () => Promise<void>,
): Promise<void> {
  const worker = new TaskWorker({ engine: url, queues: [queue.name], tasks });
  const { engine } = worker;
  const { journal } = engine;
  const original = {
    open: journal.open.bind(journal),
    park: journal.park.bind(journal),
    deliver: journal.deliver.bind(journal),
    sweep: journal.sweep.bind(journal),
  };
  const changed = { openWorker: engine.openWorker.bind(engine), lookup: engine.lookup.bind(engine) };
  journal.sweep = async () => 0;
  change(engine);
  const running = worker.run();
  try {
    await worker.ready();
    await use();
  } finally {
    running.cancel();
    await Promise.allSettled([running]);
    Object.assign(journal, original);
    Object.assign(engine, changed);
  }
}

/** Resolves with the value of a run, and fails if it takes longer. */
async function soon<T>(value: PromiseLike<T>, ms = SOON_MS): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`The run has not ended within ${ms} ms`)), ms);
  try {
    return await Promise.race([value, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

describe.each(stores)("wakes on $name", ({ name, test: engineTest }) => {
  const test = pairTest(engineTest);

  const rounds = /^(redis|memory)$/.test(name) ? 500 : 40;
  test(`no signal that arrives at the moment of a park is late, in ${rounds} rounds`, async ({
    pair: { queue, engine: url },
  }) => {
    let count = 0;
    const sent = new Map<string, number>();
    const change = ({ journal }: Engine): void => {
      const park = journal.park.bind(journal);
      journal.park = async (lane, id, terms) => {
        if (sent.has(id)) return await park(lane, id, terms);
        sent.set(id, performance.now());
        const deliver = () => queue.engine.journal.deliver(lane, id, [ITEM]);
        const kind = count++ % 4;
        if (kind === 0) await deliver();
        if (kind === 1) return (await Promise.all([deliver(), park(lane, id, terms)]))[1];
        if (kind === 2) return (await Promise.all([park(lane, id, terms), deliver()]))[0];
        const answer = await park(lane, id, terms);
        if (kind === 3) await deliver();
        return answer;
      };
    };
    await withWorker(queue, url, change, async () => {
      const late: number[] = [];
      for (let left = rounds; left > 0; left -= 20) {
        const runs = Array.from({ length: Math.min(left, 20) }, () => queue.submit(hears));
        const ends = runs.map(async (run) => {
          expect(await run).toBe(7);
          late.push(performance.now() - sent.get(run.id)!);
        });
        await Promise.all(ends);
      }
      expect(late).toHaveLength(rounds);
      expect(Math.max(...late)).toBeLessThan(SOON_MS);
    });
  }, 120_000);

  test("no signal is left behind that the worker has read, and not given to the run, at the moment of a park", async ({
    pair: { queue, engine: url },
  }) => {
    await withWorker(
      queue,
      url,
      () => {},
      async () => {
        const sum = async (round: number): Promise<number> => {
          const run = workflowRun(queue, queue.submit(hearsTwo));
          await run.signal(note, 1);
          for (let turn = round % 20; turn > 0; turn--) await setImmediate();
          await run.signal(note, 2);
          return await run.result();
        };
        for (let round = 0; round < rounds / 4; round++) expect(await soon(sum(round), 5_000)).toBe(3);
      },
    );
  }, 120_000);

  test("a signal that comes while a worker opens the run is read at once", async ({
    pair: { queue, engine: url },
  }) => {
    const run = workflowRun(queue, queue.submit(stays, 2));
    const nothing = (): void => {};
    await withWorker(queue, url, nothing, async () => {
      await run.signal(note, 1);
      await expect.poll(async () => (await run.status()).unread, { timeout: 20_000 }).toBe(0);
    });
    const opened = Promise.withResolvers<void>();
    const change = ({ journal }: Engine): void => {
      const open = journal.open.bind(journal);
      journal.open = async (lane, id, token, from) => {
        const answer = await open(lane, id, token, from);
        await queue.engine.journal.deliver(lane, id, [ITEM]);
        // The notification arrives before the answer.
        await new Promise((resolve) => setTimeout(resolve, 100));
        opened.resolve();
        return answer;
      };
    };
    await withWorker(queue, url, change, async () => {
      await opened.promise;
      expect(await soon(run.result())).toBe(8);
    });
  });

  test("a signal from before the start is read while the first step runs", async ({
    pair: { queue, engine: url },
  }) => {
    const run = workflowRun(queue, queue.submit(steps));
    await run.signal(note, 5);
    await withWorker(
      queue,
      url,
      () => {},
      async () => expect(await soon(run.result(), 4_000)).toBe(5),
    );
  });

  /** Lets no command deliver, as if the worker had died behind the turn; returns the number of such commands. */
  const withoutDeliveries = ({ journal }: Engine): (() => number) => {
    let lost = 0;
    journal.deliver = async () => {
      lost++;
      return { kind: "gone" };
    };
    return () => lost;
  };

  test("the end of a job wakes its run without a second command, and without a look", async ({
    pair: { queue, engine: url },
  }) => {
    if (name === "memory") return; // Nobody dies alone in one process.
    let lost = (): number => 0;
    const submitted = new Set<string>();
    wakes.length = 0;
    const change = (engine: Engine): void => {
      lost = withoutDeliveries(engine);
      const lookup = engine.lookup.bind(engine);
      // A look of a run finds nothing; those of the submitter do.
      engine.lookup = async (lane, ids) => {
        const found = await lookup(lane, ids);
        return ids.map((id, at) => (submitted.has(id) ? found[at]! : { kind: "pending" }));
      };
    };
    await withWorker(queue, url, change, async () => {
      // A job, a child workflow with that job, and a job that fails.
      const runs = [queue.submit(asks, 4), queue.submit(asksChild, 4), queue.submit(catches)];
      for (const { id } of runs) submitted.add(id);
      expect(await soon(Promise.all(runs), 9_500)).toEqual([8, 8, "no"]);
    });
    expect(lost()).toBe(0);
    expect(Math.max(...wakes)).toBeLessThan(SOON_MS);
  });

  test("the end of a job whose delivery was lost is found by a look soon", async ({
    pair: { queue, engine: url },
  }) => {
    if (name === "memory") return;
    let lost = (): number => 0;
    const change = (engine: Engine): void => {
      lost = withoutDeliveries(engine);
      // As on an engine whose turns cannot deliver.
      const openWorker = engine.openWorker.bind(engine);
      engine.openWorker = (lane, processor, options) =>
        openWorker(lane, processor, { ...options, deliveryOf: () => undefined });
    };
    await withWorker(queue, url, change, async () => {
      expect(await soon(queue.submit(asks, 4), 9_500)).toBe(8);
      expect(lost()).toBe(1);
    });
  });
});
