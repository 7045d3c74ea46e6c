import { Future } from "@taskloom/loop";
import { defineTask, TaskQueue, TaskWorker } from "@taskloom/queue";
import type { Engine } from "@taskloom/queue";
import { continueAs, defineSignal, defineWorkflow, step, submit, workflowRun } from "@taskloom/workflow";
import { decodeEntry } from "../src/journal/entry.ts";
import { Redis } from "ioredis";
import { expect } from "vitest";
import { redisTest } from "../../../test/support/redis.ts";

const UNTIL = { timeout: 20_000, interval: 20 };
const note = defineSignal<number>("note");

/** Steps that end when the test says so. */
const gates = new Map<number, Future<void>>();
const starts: number[] = [];
const gated = defineTask({ name: "lost.gated" }, async (n: number) => {
  starts.push(n);
  const gate = new Future<void>();
  gates.set(n, gate);
  await gate;
  return n;
});
const program = defineWorkflow({ name: "lost.program" }, function* () {
  const first = yield* step(gated, 1);
  const heard = yield* note.receive();
  return first + heard + (yield* step(gated, 2)) + (yield* step(gated, 3));
});
const counts = defineWorkflow({ name: "lost.counts" }, function* () {
  yield* step(gated, 1);
  let heard = yield* note.receive();
  yield* step(gated, 2);
  heard += yield* note.receive();
  yield* step(gated, 3);
  return heard + (yield* note.receive());
});
const parks = defineWorkflow({ name: "lost.parks", residentFor: 0 }, function* () {
  const first = yield* step(gated, 1);
  return first + (yield* note.receive());
});
const asks = defineWorkflow({ name: "lost.asks", residentFor: 60_000 }, function* (queue: string) {
  return yield* submit.with({ queue })(gated, 4);
});
const continued = defineWorkflow({ name: "lost.continued" }, function* (round: number): Generator<
  never,
  number,
  unknown
> {
  const n = yield* step(gated, 10 * round + 1);
  return round === 0 ? continueAs(continued, 1) : n;
});

const open = async (n: number): Promise<void> => {
  await expect.poll(() => gates.has(n), UNTIL).toBe(true);
  gates.get(n)!.setResult();
  gates.delete(n);
};

/** A queue with a worker on Redis, and an observer that can take Redis back to an earlier state of a run. */
const test = redisTest.extend<{ lane: { queue: TaskQueue; engine: Engine; state: RunState } }>({
  lane: async ({ redis: { url } }, use) => {
    starts.length = 0;
    gates.clear();
    const name = `lost-${Math.random().toString(36).slice(2)}`;
    const tasks = [program, counts, parks, asks, continued, gated];
    const worker = new TaskWorker({ engine: url, queues: [name], tasks, drain: 0 });
    const { engine } = worker;
    const { journal } = engine;
    const original = {
      append: journal.append.bind(journal),
      continueAs: journal.continueAs.bind(journal),
    };
    const running = worker.run();
    await worker.ready();
    const queue = new TaskQueue({ engine: url, name });
    const redis = new Redis(url);
    await use({ queue, engine, state: new RunState(redis, `${name}.workflow`) });
    running.cancel();
    await Promise.allSettled([running]);
    Object.assign(journal, original);
    await queue.close();
    redis.disconnect();
  },
});

class RunState {
  readonly redis: Redis;
  readonly #lane: string;
  #saved: { readonly key: string; readonly dump: Buffer | null }[] | undefined;

  constructor(redis: Redis, lane: string) {
    this.redis = redis;
    this.#lane = lane;
  }

  async key(id: string, part: string): Promise<string> {
    const [job] = (await this.redis.keys(`*${this.#lane}*:${id}`)) as [string];
    return `${job}${part}`;
  }

  get isSaved(): boolean {
    return this.#saved !== undefined;
  }

  async save(id: string): Promise<void> {
    const keys = await Promise.all(
      ["", ":tl-run", ":tl-log", ":tl-in", ":tl-keys"].map((part) => this.key(id, part)),
    );
    this.#saved = await Promise.all(
      keys.map(async (key) => ({ key, dump: await this.redis.dumpBuffer(key) })),
    );
  }

  async restore(): Promise<void> {
    for (const { key, dump } of this.#saved!) {
      await this.redis.del(key);
      if (dump !== null) await this.redis.restore(key, 0, dump);
    }
  }
}

/** Returns the commands whose ends the history has, in their order. */
async function endsOf(queue: TaskQueue, id: string): Promise<unknown[]> {
  const entries = await queue.engine.journal.read(`${queue.name}.workflow`, id, 0, 500);
  return entries.flatMap((entry) => decodeEntry(entry).deliveries.map(([mark]) => mark));
}

test("an owner stores the entries again that Redis has lost", async ({ lane: { queue, state } }) => {
  const run = workflowRun(queue, queue.submit(program));
  await open(1);
  await expect.poll(async () => (await run.status()).length, UNTIL).toBe(2);
  await run.signal(note, 100);
  await open(2);
  await expect.poll(() => gates.has(3), UNTIL).toBe(true);
  const log = await state.key(run.id, ":tl-log");
  const length = await state.redis.llen(log);
  await state.redis.rpop(log, length - 1);
  await open(3);
  expect(await run.result()).toBe(106);
  expect(await endsOf(queue, run.id)).toEqual([1, "s", 2, 3]);
  expect(starts).toEqual([1, 2, 3]);
});

test("an owner stores a whole history again, and consumes no signal twice", async ({
  lane: { queue, engine, state },
}) => {
  const { journal } = engine;
  const append = journal.append.bind(journal);
  journal.append = async (name, appends) => {
    // The signal is in the inbox, and not consumed.
    if (appends[0]!.consume === 1 && !state.isSaved) await state.save(appends[0]!.id);
    return await append(name, appends);
  };
  const run = workflowRun(queue, queue.submit(program));
  await open(1);
  await run.signal(note, 100);
  await open(2);
  await expect.poll(() => gates.has(3), UNTIL).toBe(true);
  await state.restore();
  expect((await run.status()).unread).toBe(1);
  await run.signal(note, 1_000);
  await open(3);
  expect(await run.result()).toBe(106);
  expect((await endsOf(queue, run.id)).filter((mark) => mark !== "s")).toEqual([1, 2, 3]);
  expect((await endsOf(queue, run.id)).filter((mark) => mark === "s").length).toBeLessThanOrEqual(2);
  expect(starts).toEqual([1, 2, 3]);
});

test("a signal that is equal to a lost one is a new one, and the lost one that is sent again is not", async ({
  lane: { queue, state },
}) => {
  const run = workflowRun(queue, queue.submit(counts));
  const { journal } = queue.engine;
  const lane = `${queue.name}.workflow`;
  const lost = JSON.stringify(["s", "note", 7, "s:lost"]);
  await open(1);
  await expect.poll(async () => (await journal.head(lane, run.id))?.length, UNTIL).toBe(2);
  await state.save(run.id);
  await journal.deliver(lane, run.id, [lost], "s:lost");
  await expect.poll(() => gates.has(2), UNTIL).toBe(true);
  await state.restore();
  expect((await run.status()).unread).toBe(0);
  await run.signal(note, 7);
  await open(2);
  await expect.poll(() => gates.has(3), UNTIL).toBe(true);
  // Its sender has had no answer.
  await journal.deliver(lane, run.id, [lost], "s:lost");
  await open(3);
  await run.signal(note, 1_000);
  expect(await run.result()).toBe(1_014);
  expect(starts).toEqual([1, 2, 3]);
});

test("a parked run in memory is replayed if another owner has come to its place by another way", async ({
  lane: { queue, state },
}) => {
  const run = workflowRun(queue, queue.submit(parks));
  await open(1);
  await expect.poll(async () => (await run.status()).state, UNTIL).toBe("parked");
  const log = await state.key(run.id, ":tl-log");
  const last = (await state.redis.lindex(log, -1))!;
  await state.redis.lset(log, -1, last.replace("[1,0,1]", "[1,0,5]"));
  await run.signal(note, 100);
  expect(await run.result()).toBe(105);
  expect(starts).toEqual([1]);
});

test("a job that Redis has lost is added again by the run that waits for it", async ({
  lane: { queue, state },
  redis: { url },
}) => {
  const other = `${queue.name}-other`;
  const run = queue.submit(asks, other);
  const isStored = async (): Promise<boolean> => (await state.redis.keys(`*${other}*:wait`)).length > 0;
  await expect.poll(isStored, UNTIL).toBe(true);
  await state.redis.del(await state.redis.keys(`*${other}*`));
  const worker = new TaskWorker({ engine: url, queues: [other], tasks: [gated], drain: 0 });
  const running = worker.run();
  await open(4);
  expect(await run).toBe(4);
  running.cancel();
  await Promise.allSettled([running]);
}, 40_000);

test("a run whose next history Redis has lost begins that history again", async ({
  lane: { queue, engine, state },
}) => {
  const { journal } = engine;
  const next = journal.continueAs.bind(journal);
  journal.continueAs = async (name, id, terms) => {
    if (!state.isSaved) await state.save(id);
    return await next(name, id, terms);
  };
  const run = workflowRun(queue, queue.submit(continued, 0));
  await open(1);
  await expect.poll(() => gates.has(11), UNTIL).toBe(true);
  await state.restore();
  await open(11);
  await open(11);
  expect(await run.result()).toBe(11);
  expect((await run.status()).generation).toBe(1);
  expect(await endsOf(queue, run.id)).toEqual([1]);
  // The first history is replayed.
  expect(starts).toEqual([1, 11, 11]);
}, 40_000);
