import { TaskQueue, TaskWorker, UnrecoverableError, call, currentJob, defineTask } from "@taskloom/queue";
import { Future, gather } from "@taskloom/loop";
import {
  LaneQueues,
  cancelStored,
  findJob,
  listJobs,
  readJob,
  terminateStored,
} from "@taskloom/queue/operating";
import { idInRun } from "@taskloom/queue/lane";
import { describe, expect } from "vitest";
import { stores } from "./engines.ts";
import { FakeLane } from "./fake-lane.ts";
import { countOnThread, threadName } from "./fixtures/tasks.ts";
import { spin } from "./fixtures/tasks.ts";
import { pairTest } from "./pair.ts";

const HOUR_MS = 3_600_000;
const double = defineTask({ name: "lane.double" }, async (n: number) => n * 2);

describe.each(stores)("on $name", ({ name, test: engineTest }) => {
  const test = pairTest(engineTest);

  test("one worker runs jobs and durable runs, and counts both", async ({ pair }) => {
    const lane = new FakeLane();
    const run = lane.define("lane.run", async ({ args }) => Number(args[0]) + 1);
    const queue = await pair.work([double, run]);
    const [doubled, ran] = [queue.submit(double, 4), queue.submit(run, 4)];
    expect(await gather([doubled, ran])).toEqual([8, 5]);
    expect(ran.id).toMatch(/^workflow\./);
    expect(await queue.counts("workflow")).toMatchObject({ completed: 1 });
    expect(await queue.counts()).toMatchObject({ completed: 2 });
    expect(lane.events).toEqual(["start"]);
    expect(lane.contexts.map(({ queue: of, lane: own, concurrency }) => [of, own, concurrency])).toEqual([
      [queue.name, "workflow", 1_000],
    ]);
    await pair.stopWorkers();
    expect(lane.events).toEqual(["start", "drain", "close"]);
  });

  test("a worker without durable runs leaves them alone", async ({ pair }) => {
    const lane = new FakeLane();
    const run = lane.define("lane.later", async () => "ran");
    const unknown: string[] = [];
    const queue = await pair.work([double], { onUnknown: ({ id }) => unknown.push(id) });
    const waiting = queue.submit(run);
    await waiting.sent();
    expect(await queue.submit(double, 1)).toBe(2);
    expect([await waiting.state(), unknown]).toEqual(["waiting", []]);
    await pair.work([run]);
    expect(await waiting).toBe("ran");
  });

  test("a run that parks itself starts again when it is due, and spends no attempt", async ({ pair }) => {
    const lane = new FakeLane();
    const starts: [number, number][] = [];
    const run = lane.define("lane.parks", async ({ job, park }) => {
      starts.push([job.attemptsStarted, job.attemptsMade]);
      return job.attemptsStarted < 3 ? await park(Date.now() + 20) : "woken";
    });
    const queue = await pair.work([run]);
    const parked = queue.submit(run);
    expect(await parked).toBe("woken");
    expect(starts).toEqual([
      [1, 0],
      [2, 0],
      [3, 0],
    ]);
    expect(parked.attempts).toBe(1);
  });

  // `memory:` has no BullMQ.
  test.skipIf(name === "memory" || name.includes("shards"))(
    "BullMQ's own command wakes a parked run",
    async ({ pair }) => {
      const lane = new FakeLane();
      const run = lane.define("lane.promoted", async ({ job, park }) =>
        job.attemptsStarted === 1 ? await park(Date.now() + HOUR_MS) : "woken",
      );
      const queue = await pair.work([run]);
      const parked = queue.submit(run);
      await expect.poll(() => parked.state(), { timeout: 10_000 }).toBe("delayed");
      expect(await queue.counts("workflow")).toMatchObject({ delayed: 1, active: 0 });
      const lanes = queue.engine.openQueue(`${queue.name}.workflow`);
      const job = await lanes.getJob(parked.id);
      await job!.promote();
      expect(await parked).toBe("woken");
      await lanes.close();
    },
  );

  test("a worker has as many runs in memory as it may, and takes more when it may have more", async ({
    pair,
  }) => {
    const lane = new FakeLane();
    let resident = 0;
    const run = lane.define("lane.resident", async ({ rest }) => {
      resident++;
      return await rest();
    });
    const { queue } = pair;
    const worker = new TaskWorker({ engine: pair.engine, queues: [queue.name], tasks: [run], runs: 2 });
    const running = worker.run();
    const runs = Array.from({ length: 4 }, () => queue.submit(run));
    await expect.poll(() => resident, { timeout: 10_000 }).toBe(2);
    expect(worker.stats()).toMatchObject({ running: { workflow: 2 }, runs: 2 });
    expect(await queue.counts("workflow")).toMatchObject({ active: 2, waiting: 2 });
    worker.setConcurrency("workflow", 3);
    await expect.poll(() => resident, { timeout: 10_000 }).toBe(3);
    expect(await queue.counts("workflow")).toMatchObject({ active: 3, waiting: 1 });
    await using queues = asyncClosed(new LaneQueues(queue.engine, queue.name));
    // A run that has just begun is asked to end, and asked again if its worker has not received the request.
    for (const { id } of runs) {
      await expect
        .poll(() => terminateStored(queues.value, "workflow", id, "enough"), { timeout: 10_000 })
        .toBe("ended");
    }
    await Promise.allSettled(runs);
    running.cancel();
    await running.catch(() => {});
  });

  test("a stopping worker hands resting runs back at once, and another one goes on", async ({ pair }) => {
    const lane = new FakeLane();
    const resting = Promise.withResolvers<void>();
    const run = lane.define("lane.rests", async ({ job, rest }) => {
      if (job.attemptsStarted > 1) return [job.attemptsStarted, job.attemptsMade];
      resting.resolve();
      return await rest();
    });
    const queue = await pair.work([run], { drain: 600_000 });
    const handed = queue.submit(run);
    await resting.promise;
    await pair.stopWorkers(); // The test would time out if the run kept the worker for its drain.
    expect(await handed.state()).toBe("waiting");
    await pair.work([run]);
    expect(await handed).toEqual([2, 0]);
  });

  test("a stopping worker lets steps end within its drain", async ({ pair }) => {
    const lane = new FakeLane();
    const isIn = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const done: string[] = [];
    const slow = defineTask({ name: "lane.slow" }, async () => {
      isIn.resolve();
      await goOn.promise;
      done.push("slow");
    });
    const run = lane.define("lane.steps", async ({ step, rest, job }) => {
      if (job.attemptsStarted > 1) return "again";
      await step(slow, []);
      return await rest();
    });
    const queue = await pair.work([run, slow], { drain: 600_000 });
    const handed = queue.submit(run);
    handed.catch(() => {}); // No worker takes it again.
    await isIn.promise;
    const stopped = pair.stopWorkers();
    goOn.resolve();
    await stopped;
    expect([done, await handed.state()]).toEqual([["slow"], "waiting"]);
  });

  test("steps and jobs share the places of the loop lane", async ({ pair }) => {
    const lane = new FakeLane();
    let inside = 0;
    let most = 0;
    const crowd = defineTask({ name: "lane.crowd" }, async (kind: string) => {
      most = Math.max(most, ++inside);
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      inside--;
      return kind;
    });
    const run = lane.define("lane.crowded", async ({ step }) =>
      Promise.all(Array.from({ length: 20 }, () => step(crowd, ["step"]))),
    );
    const queue = await pair.work([run, crowd], { concurrency: 3 });
    const runs = Array.from({ length: 5 }, () => queue.submit(run));
    const jobs = Array.from({ length: 30 }, () => queue.submit(crowd, "job"));
    const results = await gather([...runs, ...jobs]);
    expect(results.flat().filter((kind) => kind === "step")).toHaveLength(100);
    expect(results.flat().filter((kind) => kind === "job")).toHaveLength(30);
    expect(most).toBe(3);
  });

  test("with one place, steps do not keep jobs out, and a waiting run holds no place", async ({ pair }) => {
    const lane = new FakeLane();
    const ended: string[] = [];
    const begun = Promise.withResolvers<void>();
    const tick = defineTask({ name: "lane.tick" }, async () => begun.resolve());
    const end = defineTask({ name: "lane.end" }, async () => void ended.push("job"));
    const run = lane.define("lane.ceaseless", async ({ step }) => {
      let steps = 0;
      for (; ended.length === 0; steps++) await Promise.all([step(tick, []), step(tick, [])]);
      return steps > 0;
    });
    const queue = await pair.work([run, tick, end], { concurrency: 1 });
    const runs = [queue.submit(run), queue.submit(run)];
    await begun.promise;
    await queue.submit(end);
    expect(await gather(runs)).toEqual([true, true]);
  });

  test("a step is a job with an id, an attempt, a log and progress, on the loop and on a thread", async ({
    pair,
  }) => {
    const lane = new FakeLane();
    const seen: unknown[] = [];
    const show = defineTask({ name: "lane.show" }, async () => {
      const job = currentJob();
      await job?.log("shown");
      return [job?.id, job?.attempt];
    });
    const run = lane.define("lane.shows", async ({ step }) => {
      const counting = step(countOnThread, [2]);
      counting.onProgress((value) => seen.push(value));
      return [await step(show, [], { attempt: 4 }), await step(threadName, []), await counting];
    });
    const queue = await pair.work([run, show, countOnThread, threadName]);
    const shown = queue.submit(run);
    expect(await shown).toEqual([[`${shown.id}/2`, 4], { isMain: false }, 2]);
    expect(await shown.logs()).toEqual(["shown"]);
    expect(seen.at(-1)).toBe(2);
  });

  test("a step ends at its timeout, and a cancel reaches into its thread", async ({ pair }) => {
    const lane = new FakeLane();
    const forever = defineTask({ name: "lane.forever" }, async () => await new Future<never>());
    const run = lane.define("lane.stops", async ({ step }) => {
      const late = await step(forever, [], { timeout: 10 }).catch(String);
      const spinning = step(spin, []);
      // The task reports as soon as it runs on its thread.
      await new Promise<void>((resolve) => void spinning.onProgress(() => resolve()));
      spinning.cancel("enough");
      return [late, await spinning.catch(String)];
    });
    const queue = await pair.work([run, forever, spin]);
    expect(await queue.submit(run)).toEqual([
      expect.stringContaining("did not end within its timeout of 10 ms"),
      "CancelledError: enough",
    ]);
    // The thread is free again.
    expect(await queue.submit(spin, true)).toBe("free");
  });

  test("operators work on the lane: list, find, retry, attach, ids, pause and drain", async ({ pair }) => {
    const lane = new FakeLane();
    let isMended = false;
    const run = lane.define<[string]>("lane.operated", async ({ args }) => {
      if (!isMended) throw new UnrecoverableError("not yet");
      return args[0];
    });
    const queue = await pair.work([run]);
    const failing = queue.with({ id: "order-7" }).submit(run, "seven");
    await expect(failing).rejects.toThrow("not yet");
    expect(failing.id).toBe("workflow.order-7");
    expect(await queue.states([failing.id])).toEqual(new Map([[failing.id, "failed"]]));
    const { jobs } = await listJobs(queue.engine, [queue.name], { limit: 10 });
    expect(jobs.map(({ id, lane: of, state }) => [id, of, state])).toEqual([
      [failing.id, "workflow", "failed"],
    ]);
    const place = await findJob(queue.engine, [queue.name], "order-7");
    expect(place).toEqual({ queue: queue.name, lane: "workflow", stored: failing.id });
    await using queues = asyncClosed(new LaneQueues(queue.engine, queue.name));
    expect(await readJob(queues.value, place!)).toMatchObject({ id: failing.id, lane: "workflow" });
    isMended = true;
    expect(await queue.retryFailed()).toBe(1);
    expect(await queue.attach(run, "order-7")).toBe("seven");
    expect(await queue.attach(failing.id)).toBe("seven");
    expect(await queue.with({ id: "order-7" }).submit(run, "other")).toBe("seven");
    await queue.pause();
    const drained = queue.submit(run, "never");
    await drained.sent();
    expect(await queue.counts("workflow")).toMatchObject({ waiting: 1 });
    expect(await queue.drain()).toBe(1);
    await expect(drained).rejects.toThrow("drained");
    await queue.resume();
  });

  test("a drain leaves parked runs alone; they can be terminated", async ({ pair }) => {
    const lane = new FakeLane();
    const run = lane.define("lane.stays", async ({ park }) => await park(Date.now() + HOUR_MS));
    const queue = await pair.work([run]);
    const parked = queue.submit(run);
    await expect.poll(() => parked.state(), { timeout: 10_000 }).toBe("delayed");
    expect(await queue.drain()).toBe(0);
    await using queues = asyncClosed(new LaneQueues(queue.engine, queue.name));
    expect(await terminateStored(queues.value, "workflow", parked.id, "enough")).toBe("ended");
    await expect(parked).rejects.toThrow("enough");
    expect(await queue.counts("workflow")).toMatchObject({ cancelled: 1, delayed: 0 });
  });

  test("a running run is terminated through its worker", async ({ pair }) => {
    const lane = new FakeLane();
    const resting = Promise.withResolvers<void>();
    const run = lane.define("lane.terminated", async ({ rest }) => {
      resting.resolve();
      return await rest();
    });
    const queue = await pair.work([run]);
    const running = queue.submit(run);
    await resting.promise;
    await using queues = asyncClosed(new LaneQueues(queue.engine, queue.name));
    expect(await terminateStored(queues.value, "workflow", running.id, "now")).toBe("asked");
    await expect(running).rejects.toThrow("cancelled");
    expect(lane.events).toContain(`cancel ${running.id}`);
  });

  test("a cancel is one delivery to the inbox of the run", async ({ pair }) => {
    const lane = new FakeLane();
    const run = lane.define("lane.asked", async ({ park }) => await park(Date.now() + HOUR_MS));
    const queue = await pair.work([run]);
    const asked = queue.submit(run);
    asked.catch(() => {}); // It ends with the file's engine.
    await expect.poll(() => asked.state(), { timeout: 10_000 }).toBe("delayed");
    await using queues = asyncClosed(new LaneQueues(queue.engine, queue.name));
    for (let repeat = 0; repeat < 2; repeat++) {
      // oxlint-disable-next-line no-await-in-loop -- as after a lost answer
      const answer = await cancelStored(queues.value, "workflow", asked.id, "enough", "c:1");
      expect(answer).toBe("delivered");
    }
    const { journal } = queue.engine;
    const items = await journal.readInbox(`${queue.name}.workflow`, asked.id, 0, 10);
    expect(items).toEqual(['["c","enough","c:1"]']);
    // The delivery has woken the run, which its worker then ends.
    await expect
      .poll(() => terminateStored(queues.value, "workflow", asked.id, "now"), { timeout: 10_000 })
      .toBe("ended");
    expect(await cancelStored(queues.value, "workflow", asked.id, "late", "c:2")).toBe("ended");
  });

  test("schedules and flows bring runs to the lane, and runs have children of other lanes", async ({
    pair,
  }) => {
    const lane = new FakeLane();
    const scheduled = Promise.withResolvers<string>();
    const sum = lane.define("lane.sum", async ({ context, id, job }) => {
      const admission = await context.admit(job, "unused");
      return [id, admission.kind === "run" ? admission.childResults : []];
    });
    const nightly = lane.define("lane.nightly", async ({ id }) => scheduled.resolve(id));
    const queue = await pair.work([sum, nightly, double]);
    const flow = queue.flow(call(sum), [call(double, 1), call(double, 2)]);
    expect(await flow).toEqual([flow.id, [2, 4]]);
    const schedule = await queue.schedule("night", { every: HOUR_MS }, nightly);
    expect(schedule.lane).toBe("workflow");
    expect(await scheduled.promise).toMatch(/^workflow\.repeat:night:/);
    expect((await queue.schedules()).map(({ id, lane: of }) => [id, of])).toEqual([["night", "workflow"]]);
    // The schedule moves with its task.
    await queue.schedule("night", { every: HOUR_MS }, double, 1);
    expect((await queue.schedules()).map(({ id, lane: of }) => [id, of])).toEqual([["night", "loop"]]);
    await schedule.remove();
    await (await queue.schedules())[0]?.remove();
  });

  test("a submission from a place in a run is one job, however often it is made", async ({ pair }) => {
    const lane = new FakeLane();
    let runs = 0;
    const count = defineTask({ name: "lane.count" }, async () => ++runs);
    const run = lane.define("lane.submits", async ({ context, id }) => {
      const submitter = new TaskQueue({ engine: context.engine, name: context.queue });
      const submit = (): PromiseLike<unknown> =>
        submitter.with({ id: idInRun({ run: id, n: 1 }) }).submit(count);
      const results = [await submit(), await submit()];
      await submitter.close();
      return results;
    });
    const queue = await pair.work([run, count]);
    const submitted = queue.submit(run);
    expect(await submitted).toEqual([1, 1]);
    expect(await queue.states([`loop.${idInRun({ run: submitted.id, n: 1 })}`])).toEqual(
      new Map([[`loop.${submitted.id}/1`, "completed"]]),
    );
  });
});

/** A value with a `close` for `await using`. */
function asyncClosed<T extends { close(): Promise<void> }>(
  value: T,
): AsyncDisposable & { readonly value: T } {
  return { value, [Symbol.asyncDispose]: () => value.close() };
}
