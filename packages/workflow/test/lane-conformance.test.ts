import {
  CancelledError,
  Future,
  gather,
  Queue,
  sleep,
  taskGroup,
  timeout,
  TimeoutError,
} from "@taskloom/loop";
import { defineTask, currentJob, UnrecoverableError } from "@taskloom/queue";
import type { TaskQueue } from "@taskloom/queue";
import { LaneQueues, terminateStored } from "@taskloom/queue/operating";
import { continueAs, defineSignal, defineWorkflow, runs, step, submit } from "@taskloom/workflow";
import { describe, expect } from "vitest";
import { engines } from "../../queue/test/engines.ts";
import { pairTest } from "../../queue/test/pair.ts";
import { onThread } from "./lane-tasks.ts";

const double = defineTask({ name: "lane.double" }, async (n: number) => 2 * n);
const note = defineSignal<number>("note");

/** Sends a signal, as the client does. */
async function send(queue: TaskQueue, id: string, ...payloads: number[]): Promise<void> {
  for (const payload of payloads) {
    const item = JSON.stringify(["s", "note", payload]);
    const answer = await queue.engine.journal.deliver(`${queue.name}.workflow`, id, [item]);
    expect(answer.kind).toBe("stored");
  }
}

async function isParked(run: { state(): Promise<string> }): Promise<void> {
  await expect.poll(() => run.state(), { timeout: 20_000 }).toBe("delayed");
}

const HOUR_MS = 3_600_000;

describe.each(engines)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("steps run on the loop and on threads, with retries, timeouts and once", async ({ pair }) => {
    const tries: (readonly [string, number])[] = [];
    const flaky = defineTask({ name: "lane.flaky", attempts: 3 }, async () => {
      const { id, attempt } = currentJob()!;
      tries.push([id, attempt]);
      if (attempt < 3) throw new RangeError(`attempt ${attempt}`);
      return attempt;
    });
    const final = defineTask({ name: "lane.final", attempts: 3 }, async () => {
      throw new UnrecoverableError("no use");
    });
    const slow = defineTask({ name: "lane.slow" }, async () => await sleep(HOUR_MS));
    const program = defineWorkflow({ name: "lane.steps", check: "always" }, function* () {
      const [square, isThread] = yield* step(onThread, 3);
      const attempts = yield* step(flaky);
      const failed: string[] = [];
      for (const failing of [
        step(final),
        step.with({ timeout: 20 })(slow),
        step.with({ once: true })(flaky),
      ]) {
        try {
          yield* failing;
        } catch (error) {
          failed.push((error as Error).name);
        }
      }
      return { square, isThread, attempts, failed };
    });
    const warnings: unknown[] = [];
    const queue = await pair.work([program, flaky, final, slow, onThread], {
      onWarning: (warning) => warnings.push(warning),
    });
    const run = queue.submit(program);
    expect(await run).toEqual({
      square: 9,
      isThread: true,
      attempts: 3,
      failed: ["UnrecoverableError", "TimeoutError", "RangeError"],
    });
    const key = `${run.id}/2`;
    expect(tries).toEqual([
      [key, 1],
      [key, 2],
      [key, 3],
      [`${run.id}/5`, 1],
    ]);
    expect(warnings).toEqual([]);
  });

  test("gather, a timeout, a queue and a task group are durable; jobs and children end as they do", async ({
    pair,
  }) => {
    const bad = defineTask({ name: "lane.bad" }, async () => {
      throw new RangeError("bad");
    });
    const child = defineWorkflow({ name: "lane.child" }, function* (n: number) {
      if (n < 0) throw new RangeError("negative");
      return yield* step(double, n);
    });
    const program = defineWorkflow({ name: "lane.combined", check: "always" }, function* () {
      const sums = yield* gather([1, 2, 3].map((n) => step(double, n)));
      const ends = yield* gather([submit(double, 5), submit(child, 6), submit(bad), submit(child, -1)], {
        returnExceptions: true,
      });
      const queue = new Queue<number>(1);
      const taken: number[] = [];
      yield* taskGroup(function* (group) {
        group.createTask(function* () {
          for (let n = 0; n < 3; n++) yield* queue.put(yield* step(double, n));
        });
        for (let n = 0; n < 3; n++) taken.push(yield* queue.get());
      });
      let isLate = false;
      try {
        yield* timeout(10, note.receive());
      } catch (error) {
        isLate = error instanceof TimeoutError;
      }
      return { sums, ends: ends.map(String), taken, isLate };
    });
    const queue = await pair.work([program, child, bad, double]);
    expect(await queue.submit(program)).toEqual({
      sums: [2, 4, 6],
      ends: ["10", "12", "RangeError: bad", "RangeError: negative"],
      taken: [0, 2, 4],
      isLate: true,
    });
  });

  test("a cancel reaches steps, jobs and children, and runs the clean-up", async ({ pair }) => {
    const begun = Promise.withResolvers<void>();
    let count = 0;
    const endless = defineTask({ name: "lane.endless" }, async () => {
      if (++count === 3) begun.resolve();
      await sleep(HOUR_MS);
    });
    const cleaned: string[] = [];
    const clean = defineTask({ name: "lane.clean" }, async (who: string) => void cleaned.push(who));
    const child = defineWorkflow({ name: "lane.cleans" }, function* () {
      try {
        yield* step(endless);
      } finally {
        yield* step(clean, "child");
      }
    });
    const program = defineWorkflow({ name: "lane.cancelled" }, function* () {
      try {
        yield* gather([step(endless), submit(endless), submit(child)]);
      } finally {
        yield* step(clean, "parent");
      }
    });
    const queue = await pair.work([program, child, endless, clean]);
    const run = queue.submit(program);
    await begun.promise;
    run.cancel("enough");
    await expect(run).rejects.toThrow(CancelledError);
    // As in asyncio, a gather ends with its first cancelled part.
    await expect.poll(() => cleaned.toSorted(), { timeout: 10_000 }).toEqual(["child", "parent"]);
    await expect.poll(async () => (await queue.counts()).active, { timeout: 10_000 }).toBe(0);
  });

  test("a deadline and a timeout cancel a run, parked or not, and a retry is free of its deadline", async ({
    pair,
  }) => {
    const cleaned: string[] = [];
    const clean = defineTask({ name: "lane.late" }, async (who: string) => void cleaned.push(who));
    const waits = defineWorkflow(
      { name: "lane.waits", residentFor: 0, check: "off" },
      function* (who: string) {
        if (cleaned.includes(who)) return "again";
        try {
          return yield* note.receive();
        } finally {
          yield* step(clean, who);
        }
      },
    );
    const parent = defineWorkflow({ name: "lane.limits" }, function* () {
      const children = [
        submit.with({ timeout: 50, tags: ["eu"] })(waits, "timeout"),
        submit.with({ deadline: 300, tags: ["eu"] })(waits, "deadline"),
      ];
      const ends = yield* gather(children, { returnExceptions: true });
      return ends.map(String);
    });
    const queue = await pair.work([waits, parent, clean]);
    const [timedOut, late] = await queue.submit(parent);
    expect(timedOut).toMatch(/^TimeoutError: .*\(lane.waits\) did not end within its timeout of 50 ms$/);
    expect(late).toMatch(
      /^TimeoutError: .*\(lane.waits\) (did not end within|was not started, since its deadline)/,
    );
    const { runs: tagged } = await runs(queue, { tag: "eu" });
    expect(tagged.map(({ state }) => state)).toEqual(["failed", "failed"]);
    expect(tagged.filter((run) => run.timeout === 50)).toHaveLength(1);
    const { id } = tagged.find(({ deadline }) => deadline !== undefined)!;
    if (!cleaned.includes("deadline")) cleaned.push("deadline"); // The worker was too late to start it.
    expect(await queue.retry(id)).toBe("again");
  });

  test("signals are buffered before the first start, in memory and while the run is parked", async ({
    pair,
  }) => {
    const program = defineWorkflow({ name: "lane.hears", residentFor: 50 }, function* (count: number) {
      const heard: number[] = [];
      while (heard.length < count) heard.push(yield* note.receive());
      return heard;
    });
    const { queue } = pair;
    const run = queue.submit(program, 6);
    await run.sent();
    await send(queue, run.id, 1, 2);
    await pair.work([program]);
    await isParked(run);
    await send(queue, run.id, 3);
    await send(queue, run.id, 4);
    await isParked(run);
    await send(queue, run.id, 5, 6);
    expect(await run).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("continueAs keeps the id and the unread signals, and numbers keys and jobs anew", async ({ pair }) => {
    const keys: string[] = [];
    const keyed = defineTask({ name: "lane.keyed" }, async (n: number) => {
      keys.push(currentJob()!.id);
      return n;
    });
    const program = defineWorkflow(
      { name: "lane.continues", residentFor: 50 },
      function* (round: number, sum: number): Generator<never, number, unknown> {
        const got = (yield* note.receive()) + (yield* step(keyed, round)) + (yield* submit(double, round));
        if (round < 3) return continueAs(program, round + 1, sum + got);
        return sum + got;
      },
    );
    const queue = await pair.work([program, keyed, double]);
    const run = queue.submit(program, 1, 0);
    await run.sent();
    await send(queue, run.id, 100, 200, 300);
    expect(await run).toBe(618);
    expect(keys).toEqual([`${run.id}/1`, `${run.id}~1/1`, `${run.id}~2/1`]);
  });

  test("a run that worker A leaves goes on in worker B: at the end of its step, and in the middle", async ({
    pair,
  }) => {
    const gates = new Map<string, () => void>();
    const starts: string[] = [];
    const gated = defineTask({ name: "lane.gated" }, async (name: string, isOpen: boolean) => {
      starts.push(name);
      if (!isOpen || starts.filter((each) => each === name).length > 1) return name;
      const gate = new Future<void>(); // A step that a cancel can stop.
      gates.set(name, () => gate.setResult());
      await gate;
      return name;
    });
    const program = defineWorkflow({ name: "lane.moves" }, function* () {
      return [yield* step(gated, "a", false), yield* step(gated, "b", true), yield* step(gated, "c", false)];
    });
    const queue = await pair.work([program, gated], { drain: 60_000 });
    const run = queue.submit(program);
    await expect.poll(() => gates.has("b"), { timeout: 10_000 }).toBe(true);
    const stopped = pair.stopWorkers();
    // The step ends when its worker has begun to stop.
    await sleep(200);
    gates.get("b")!();
    await stopped;
    expect(await run.state()).toBe("waiting");
    expect(starts).toEqual(["a", "b"]);
    await pair.work([program, gated], { drain: 300 });
    expect(await run).toEqual(["a", "b", "c"]);
    expect(starts).toEqual(["a", "b", "c"]);
    starts.length = 0;
    gates.clear();
    const again = queue.submit(program);
    await expect.poll(() => gates.has("b"), { timeout: 10_000 }).toBe(true);
    await pair.stopWorkers(); // The step is cut at the end of the drain.
    await pair.work([program, gated]);
    expect(await again).toEqual(["a", "b", "c"]);
    expect(starts).toEqual(["a", "b", "b", "c"]);
  }, 60_000);

  test("a terminated run ends at once, without its clean-up", async ({ pair }) => {
    const begun = Promise.withResolvers<void>();
    const endless = defineTask({ name: "lane.endless" }, async () => {
      begun.resolve();
      await sleep(HOUR_MS);
    });
    let isCleaned = false;
    const program = defineWorkflow({ name: "lane.terminated" }, function* () {
      try {
        yield* step(endless);
      } finally {
        isCleaned = true;
      }
    });
    const queue = await pair.work([program, endless]);
    const run = queue.submit(program);
    await begun.promise;
    const queues = new LaneQueues(queue.engine, queue.name);
    expect(await terminateStored(queues, "workflow", run.id, "now")).toBe("asked");
    await expect(run).rejects.toThrow("now");
    await queues.close();
    expect(isCleaned).toBe(false);
  });

  test("code that does not fit leaves the run to a worker whose code does", async ({ pair }) => {
    const make = (args: readonly number[]) =>
      defineWorkflow({ name: "lane.changed", residentFor: 0 }, function* () {
        const results: number[] = [];
        for (const n of args) results.push(yield* step(double, n));
        results.push(yield* note.receive());
        return results;
      });
    const fits = make([1, 2]);
    const queue = await pair.work([fits, double]);
    const run = queue.submit(fits);
    await isParked(run);
    await pair.stopWorkers();
    const warnings: string[] = [];
    await pair.work([make([1, 3]), double], { onWarning: ({ code }) => warnings.push(code) });
    await send(queue, run.id, 7);
    await expect.poll(() => warnings, { timeout: 10_000 }).toEqual(["REPLAY_DIVERGED"]);
    await pair.work([fits, double]);
    expect(await run).toEqual([2, 4, 7]);
    expect(warnings).toEqual(["REPLAY_DIVERGED"]);
  });

  test("impure code is found by the replay when the run ends, and the run has not failed", async ({
    pair,
  }) => {
    let calls = 0;
    const program = defineWorkflow({ name: "lane.impure", check: "always" }, function* () {
      return yield* step(double, ++calls);
    });
    const warnings: { code: string; message: string }[] = [];
    const queue = await pair.work([program, double], { onWarning: (warning) => warnings.push(warning) });
    expect(await queue.submit(program)).toBe(2);
    await expect.poll(() => warnings.length, { timeout: 10_000 }).toBe(1);
    expect(warnings[0]).toMatchObject({ code: "RUN_IMPURE" });
    expect(warnings[0]!.message).toContain("step 1 = lane.double@1(1)");
  });
});
