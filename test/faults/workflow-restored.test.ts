import { setTimeout as delay } from "node:timers/promises";
import { sleep } from "@taskloom/loop";
import { currentJob, defineTask, TaskQueue, TaskWorker } from "@taskloom/queue";
import type { JobEvent } from "@taskloom/queue";
import { defineWorkflow, step, submit } from "@taskloom/workflow";
import { decodeEntry } from "@taskloom/workflow/running";
import { Redis } from "ioredis";
import { expect } from "vitest";
import { ownRedisTest } from "../support/redis.ts";
import { full, measured } from "./support/fault-test.ts";

const RUNS = full ? 200 : 30;
const RESTORES = full ? 5 : 1;
/** The time that Redis loses. */
const LOST_MS = 1_000;
const ROUNDS = 10;
const PAUSE_MS = full ? 400 : 150;

/** The keys of the steps and jobs that have run. */
const effects: string[] = [];
const work = defineTask({ name: "restored.work" }, async (n: number) => {
  effects.push(currentJob()!.id);
  await sleep(PAUSE_MS);
  return n;
});
const child = defineWorkflow({ name: "restored.child", residentFor: 0 }, function* (n: number) {
  yield* sleep(PAUSE_MS);
  return yield* step(work, n);
});
/** Waits for a step, a job and a child in each round, one after the other. */
function* rounds(): Generator<never, number, unknown> {
  let sum = 0;
  for (let n = 0; n < ROUNDS; n++) {
    sum += yield* step(work, n);
    if (n % 3 === 1) sum += yield* submit(work, n);
    if (n % 3 === 2) sum += yield* submit(child, n);
  }
  return sum;
}
const resident = defineWorkflow({ name: "restored.resident", residentFor: 60_000 }, rounds);
const parks = defineWorkflow({ name: "restored.parks", residentFor: 0 }, function* (run: number) {
  let sum = 0;
  // At each moment some of these runs are parked, and a few have a step under way.
  yield* sleep((run % 20) * (PAUSE_MS / 4));
  for (let n = 0; n < ROUNDS; n++) {
    yield* sleep(4 * PAUSE_MS);
    sum += yield* step(work, n);
  }
  return sum;
});
const all = Array.from({ length: ROUNDS }, (_, n) => n);
const sumOf = (numbers: readonly number[]): number => numbers.reduce((sum, n) => sum + n, 0);
const EXPECTED = { resident: sumOf(all) + sumOf(all.filter((n) => n % 3 > 0)), parks: sumOf(all) };

ownRedisTest(
  `Redis comes back ${RESTORES} times as it was a second before, and every run ends right`,
  { timeout: 600_000 },
  async ({ redis }) => {
    const engine = redis.url;
    const name = "restored";
    const tasks = [work, child, resident, parks];
    const ended = new Set<string>();
    const onJob = ({ id }: JobEvent): void => void ended.add(id);
    const workers = [1, 2].map(() => new TaskWorker({ engine, queues: [name], tasks, drain: 0, onJob }));
    const running = workers.map((worker) => worker.run());
    await Promise.all(workers.map((worker) => worker.ready()));
    await using queue = new TaskQueue({ engine, name });
    const submitted = Array.from({ length: RUNS }, (_, n) =>
      n % 2 === 0 ? queue.submit(resident) : queue.submit(parks, n),
    );
    const residents = submitted.filter((_, n) => n % 2 === 0).map(({ id }) => id);
    await expect.poll(() => effects.length, { timeout: 60_000, interval: 20 }).toBeGreaterThan(2 * RUNS);
    const observer = new Redis(engine);
    observer.on("error", () => {});
    const atLoss: { effects: number; parked: number; inMemory: number }[] = [];
    /** Resident runs that had ended, so no worker had them in memory any more when Redis forgot their end. */
    const endForgotten = new Set<string>();
    for (let restore = 0; restore < RESTORES; restore++) {
      // oxlint-disable no-await-in-loop -- one loss after the other
      await observer.save();
      const before = effects.length;
      const endedBefore = new Set(ended);
      await delay(LOST_MS);
      const parked = await observer.zcard(`taskloom:${name}.workflow:delayed`);
      const inMemory = residents.filter((id) => !ended.has(id)).length;
      await redis.kill();
      for (const id of residents) if (ended.has(id) && !endedBefore.has(id)) endForgotten.add(id);
      atLoss.push({ effects: effects.length - before, parked, inMemory });
      await redis.restart();
      await delay(LOST_MS);
      // oxlint-enable no-await-in-loop
    }
    const back = performance.now();
    const results = await Promise.all(submitted);
    const waited = Math.round(performance.now() - back);
    expect(results).toEqual(submitted.map((_, n) => (n % 2 === 0 ? EXPECTED.resident : EXPECTED.parks)));
    for (const { effects: begun, parked } of atLoss) {
      expect(begun).toBeGreaterThan(0);
      expect(parked).toBeGreaterThan(0);
    }
    expect(atLoss[0]!.inMemory).toBeGreaterThan(RUNS / 4);

    // Each end of a command is in a history once, and a run that stayed in memory has run each of its steps once.
    const times = new Map<string, number>();
    for (const key of effects) times.set(key, (times.get(key) ?? 0) + 1);
    const again = [...times].filter(([, count]) => count > 1);
    for (const { id } of submitted) {
      const entries = await queue.engine.journal.read(`${name}.workflow`, id, 0, 500);
      const ends = entries.flatMap((entry) => decodeEntry(entry).deliveries.map(([mark]) => mark));
      expect(ends).toEqual(Array.from(new Set(ends)));
      if (residents.includes(id) && !endForgotten.has(id))
        expect(again.filter(([key]) => key.startsWith(`${id}/`))).toEqual([]);
    }
    measured(
      `${RUNS} runs right after ${RESTORES} restores; in the lost seconds ${atLoss.map((loss) => loss.effects).join(", ")} ` +
        `steps and jobs had begun, ${atLoss.map(({ parked }) => parked).join(", ")} runs were parked, and ` +
        `${endForgotten.size} resident runs had ended; ` +
        `${again.length} of ${times.size} ran again; all over ${waited} ms after the last restart`,
    );
    observer.disconnect();
    for (const worker of running) worker.cancel();
    await Promise.allSettled(running);
  },
);
