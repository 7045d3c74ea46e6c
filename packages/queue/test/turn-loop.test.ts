import { setImmediate as turnOfLoop } from "node:timers/promises";
import type { JobJson } from "bullmq";
import { afterEach, expect, test, vi } from "vitest";
import type { JobWait } from "../src/consumer/job-wait.ts";
import { TurnLoop } from "../src/consumer/turn-loop.ts";
import type { ClaimTerms, RunEnd, TurnAnswer } from "../src/contract/lane-driver.ts";

/** Resolves when ends that were stored before are on their way: a turn of the event loop has brought no further one. */
async function gathered(): Promise<void> {
  await turnOfLoop();
  await turnOfLoop();
}

afterEach(() => {
  vi.useRealTimers();
});

interface Turn {
  readonly ends: readonly string[];
  readonly count: number;
  readonly token: string | undefined;
  answer(jobs: readonly string[], more?: Partial<TurnAnswer>): Promise<void>;
  fail(error: Error): Promise<void>;
}

const transientError = new Error("for now");

const endOf = (id: string): RunEnd => ({
  id,
  token: "",
  outcome: "completed",
  text: "null",
  stacktrace: undefined,
  finishedOn: 0,
  keep: { count: -1 },
  opts: {},
});

/** A loop over a lane whose turns and news the test answers by hand. */
function openLoop(concurrency: number, claimLimit?: number) {
  const turns: Turn[] = [];
  const jobs: string[] = [];
  const errors: unknown[] = [];
  const waits: { readonly nextDue: number; news(): Promise<void> }[] = [];
  const state: { concurrency: number; onJob?: (id: string) => void } = { concurrency };
  const wait: Pick<JobWait, "news"> = {
    news: (nextDue) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      waits.push({
        nextDue,
        news: async () => {
          resolve();
          await turnOfLoop();
        },
      });
      return promise;
    },
  };
  const loop = new TurnLoop({
    turns: {
      ...(claimLimit === undefined ? {} : { claimLimit }),
      turn: (ends, claim: ClaimTerms | undefined) => {
        const { promise, resolve, reject } = Promise.withResolvers<TurnAnswer>();
        turns.push({
          ends: ends.map(({ id }) => id),
          count: claim?.count ?? 0,
          token: claim?.token,
          answer: async (ids, more) => {
            const claimed = ids.map((id) => ({ id, record: {} as JobJson }));
            resolve({ refusals: [], jobs: claimed, limitedFor: 0, nextDue: 0, ...more });
            await turnOfLoop();
            await turnOfLoop();
          },
          fail: async (error) => {
            reject(error);
            await turnOfLoop();
            await turnOfLoop();
          },
        });
        return promise;
      },
    },
    wait,
    terms: { lockDuration: 1_000, workerName: undefined },
    workerId: "worker",
    concurrency: () => state.concurrency,
    onJobs: (records) => {
      for (const { id } of records) {
        jobs.push(id);
        state.onJob?.(id);
      }
    },
    onError: (error) => errors.push(error),
    longestLimit: 1_000,
    isTransient: (error) => error === transientError,
  });
  const end = (id: string): Promise<unknown> => loop.store(endOf(id)).catch((error: unknown) => error);
  return { loop, turns, jobs, errors, waits, state, end };
}

test("the ends of one turn of the event loop leave together, with a claim for all the room", async () => {
  const { loop, turns, jobs, end } = openLoop(3);
  loop.open();
  expect(turns).toMatchObject([{ ends: [], count: 3, token: "worker:0" }]);
  await turns[0]!.answer(["a", "b", "c"]);
  expect(jobs).toEqual(["a", "b", "c"]);
  const stored = [end("a"), end("b")];
  expect(turns).toHaveLength(1);
  await gathered();
  expect(turns[1]).toMatchObject({ ends: ["a", "b"], count: 2, token: "worker:1" });
  await turns[1]!.answer(["d", "e"], { delivered: [true, false] });
  // Each end resolves with whether its turn has delivered it to a durable run.
  expect(await Promise.all(stored)).toEqual([true, false]);
  expect(loop.running).toBe(3);
});

test("ends that come in successive turns of the event loop leave together", async () => {
  const { loop, turns, end } = openLoop(4);
  loop.open();
  await turns[0]!.answer(["a", "b", "c", "d"]);
  void end("a");
  await turnOfLoop();
  void end("b");
  await turnOfLoop();
  void end("c");
  await turnOfLoop();
  expect(turns).toHaveLength(1);
  await turnOfLoop();
  expect(turns[1]).toMatchObject({ ends: ["a", "b", "c"], count: 3 });
});

test("ends that wait for a turn go with those of the jobs that the turn before has started", async () => {
  const { loop, turns, state, end } = openLoop(3);
  loop.open();
  await turns[0]!.answer(["a", "b", "c"]);
  void end("a");
  await gathered();
  void end("b");
  void end("c");
  state.onJob = (id) => void end(id);
  await turns[1]!.answer(["d"]);
  expect(turns[2]).toMatchObject({ ends: ["b", "c", "d"], count: 3 });
});

test("a turn has at most 64 ends, and others follow with the next one", async () => {
  const { loop, turns, end } = openLoop(100);
  loop.open();
  const ids = Array.from({ length: 100 }, (_, n) => `job-${n}`);
  await turns[0]!.answer(ids);
  for (const id of ids) void end(id);
  await gathered();
  expect(turns[1]).toMatchObject({ ends: ids.slice(0, 64), count: 64 });
  await turns[1]!.answer([]);
  expect(turns[2]).toMatchObject({ ends: ids.slice(64), count: 0 });
});

test("the end of a lone job leaves at once", async () => {
  const { loop, turns, end } = openLoop(3);
  loop.open();
  await turns[0]!.answer(["a"]);
  void end("a");
  expect(turns[1]).toMatchObject({ ends: ["a"], count: 0 });
});

test("ends that come while a turn is on its way go with the next one", async () => {
  const { loop, turns, end } = openLoop(2);
  loop.open();
  await turns[0]!.answer(["a", "b"]);
  void end("a");
  await gathered();
  void end("b");
  await gathered();
  expect(turns).toHaveLength(2);
  await turns[1]!.answer(["c"]);
  await gathered();
  expect(turns[2]).toMatchObject({ ends: ["b"], count: 1 });
});

test("a lane without jobs is asked again only after news of it", async () => {
  const { loop, turns, waits, end } = openLoop(3);
  loop.open();
  await turns[0]!.answer(["a"], { nextDue: 7 });
  expect(waits).toMatchObject([{ nextDue: 7 }]);
  void end("a");
  await turns[1]!.answer([]);
  expect(turns).toHaveLength(2);
  expect(waits).toHaveLength(1);
  await waits[0]!.news();
  expect(turns[2]).toMatchObject({ ends: [], count: 3 });
});

test("an engine that claims few jobs at once is asked again until it has none", async () => {
  const { loop, turns, waits } = openLoop(5, 2);
  loop.open();
  expect(turns[0]).toMatchObject({ count: 2 });
  await turns[0]!.answer(["a", "b"]);
  expect(turns[1]).toMatchObject({ count: 2 });
  await turns[1]!.answer(["c"]);
  expect(turns).toHaveLength(2);
  expect(waits).toHaveLength(1);
});

test("an end that the engine refuses fails alone, and its job keeps its place", async () => {
  const { loop, turns, end } = openLoop(2);
  loop.open();
  await turns[0]!.answer(["a", "b"]);
  const refusal = new Error("the lock is lost");
  const stored = [end("a"), end("b")];
  await gathered();
  await turns[1]!.answer([], { refusals: [refusal, undefined] });
  expect(await Promise.all(stored)).toEqual([refusal, false]);
  expect(loop.running).toBe(1);
  loop.release();
  expect(loop.running).toBe(0);
});

test("after a turn that the engine refuses for good, each end has a turn of its own", async () => {
  const { loop, turns, errors, end } = openLoop(3);
  loop.open();
  await turns[0]!.answer(["a", "b", "c"]);
  const stored = ["a", "b", "c"].map(end);
  await gathered();
  const poison = new Error("a text that the engine does not store");
  await turns[1]!.fail(poison);
  expect(errors).toEqual([poison]);
  expect(turns[2]).toMatchObject({ ends: ["a"] });
  await turns[2]!.answer([]);
  expect(turns[3]).toMatchObject({ ends: ["b"] });
  await turns[3]!.fail(poison);
  expect(turns[4]).toMatchObject({ ends: ["c"] });
  await turns[4]!.answer([]);
  expect(await Promise.all(stored)).toEqual([false, poison, false]);
});

test("a turn that fails for now rejects its ends, whose owner repeats them, and claims after a pause", async () => {
  const { loop, turns, errors, end } = openLoop(2);
  loop.open();
  await turns[0]!.answer(["a", "b"]);
  const stored = ["a", "b"].map(end);
  await gathered();
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  await turns[1]!.fail(transientError);
  expect(await Promise.all(stored)).toEqual([transientError, transientError]);
  expect(errors).toEqual([transientError]);
  expect(loop.running).toBe(2);
  void end("a");
  await gathered();
  expect(turns[2]).toMatchObject({ ends: ["a"], count: 0 });
  await turns[2]!.answer([]);
  expect(turns).toHaveLength(3);
});

test("a rate limit holds claims, and not ends", async () => {
  const { loop, turns, end } = openLoop(2);
  loop.open();
  await turns[0]!.answer(["a"], { limitedFor: 20 });
  void end("a");
  expect(turns[1]).toMatchObject({ ends: ["a"], count: 0 });
  await turns[1]!.answer([]);
  await expect.poll(() => turns).toHaveLength(3);
  expect(turns[2]).toMatchObject({ ends: [], count: 2 });
});

test("jobs never run beyond the concurrency, also when it falls", async () => {
  const { loop, turns, state, end } = openLoop(4);
  loop.open();
  await turns[0]!.answer(["a", "b", "c", "d"]);
  state.concurrency = 2;
  void end("a");
  await gathered();
  expect(turns[1]).toMatchObject({ ends: ["a"], count: 0 });
  await turns[1]!.answer([]);
  void end("b");
  void end("c");
  await gathered();
  expect(turns[2]).toMatchObject({ ends: ["b", "c"], count: 1 });
  await turns[2]!.answer(["e"]);
  expect(loop.running).toBe(2);
});

test("a loop that is shut stores ends, claims nothing, and is idle when all jobs have ended", async () => {
  const { loop, turns, end } = openLoop(2);
  loop.open();
  await turns[0]!.answer(["a", "b"]);
  loop.shut();
  let isIdle = false;
  const idle = loop.idle().then(() => (isIdle = true));
  void end("a");
  await gathered();
  expect(turns[1]).toMatchObject({ ends: ["a"], count: 0 });
  await turns[1]!.answer([]);
  expect(isIdle).toBe(false);
  loop.release();
  await idle;
});
