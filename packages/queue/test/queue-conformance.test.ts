import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import { CancelledError, Event, TimeoutError, getRunningLoop, run, sleep } from "@taskloom/loop";
import {
  FlowChildFailedError,
  TaskArgumentsError,
  TaskQueue,
  call,
  currentJob,
  defineTask,
  propagate,
} from "@taskloom/queue";
import type { FailureGroup } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { z } from "zod";
import { engines } from "./engines.ts";
import { pairTest } from "./pair.ts";

const echo = defineTask({ name: "test.echo" }, async (value: unknown) => value);
const fail = defineTask({ name: "test.fail" }, async (message: string): Promise<never> => {
  throw new RangeError(message);
});
const user = propagate(new AsyncLocalStorage<string>(), "test.user");
/** Long enough to submit something meanwhile on a loaded machine, short enough to wait for. */
const aWhile = 500;

describe.each(engines)("on $name", ({ name: engineName, test: engineTest }) => {
  const test = pairTest(engineTest);

  describe("map", () => {
    const half = defineTask({ name: "test.half" }, async (n: number) => {
      if (n % 10 === 7) throw new RangeError(`${n} has no half`);
      return n / 2;
    });
    const tuples = Array.from({ length: 25 }, (_, n): [number] => [n]);

    test("gives every item's outcome in order, its error in its place", async ({ pair }) => {
      const queue = await pair.work([half]);
      const outcomes: unknown[] = [];
      for await (const settled of queue.map(half, tuples, { chunkSize: 10 }).settled())
        outcomes.push(settled.status === "fulfilled" ? settled.value : (settled.reason as Error).message);
      expect(outcomes).toEqual(tuples.map(([n]) => (n % 10 === 7 ? `${n} has no half` : n / 2)));
    });

    test("stops at the first error when it is iterated", async ({ pair }) => {
      const queue = await pair.work([half]);
      const seen: number[] = [];
      const reading = (async () => {
        for await (const value of queue.map(half, tuples, { chunkSize: 10 })) seen.push(value);
      })();
      await expect(reading).rejects.toThrow(new RangeError("7 has no half"));
      expect(seen).toEqual([0, 0.5, 1, 1.5, 2, 2.5, 3]);
    });

    test("packs items into few jobs, and takes them from an async iterable", async ({ pair }) => {
      const jobs: string[] = [];
      const queue = await pair.work([echo], { onJob: ({ id }) => jobs.push(id) });
      async function* items(): AsyncGenerator<[number]> {
        for (let n = 0; n < 100; n++) yield [n];
      }
      expect(await queue.map(echo, items(), { chunkSize: 40 }).toArray()).toEqual([...Array(100).keys()]);
      await expect.poll(() => jobs.length).toBe(3);
    });

    test("tries an item again, and not its neighbours", async ({ pair }) => {
      const calls = new Map<number, number>();
      const flaky = defineTask({ name: "test.flaky-item", attempts: 3 }, async (n: number) => {
        const count = (calls.get(n) ?? 0) + 1;
        calls.set(n, count);
        if (n === 1 && count < 3) throw new Error("not yet");
        return count;
      });
      const queue = await pair.work([flaky]);
      expect(await queue.map(flaky, [[0], [1], [2]]).toArray()).toEqual([1, 3, 1]);
    });

    test("cancels what is under way when nobody reads on", async ({ pair }) => {
      const started = new Event();
      const cancelled = new Event();
      const slow = defineTask({ name: "test.slow-item" }, async (n: number) => {
        if (n === 0) return n;
        started.set();
        try {
          await sleep(60_000);
        } finally {
          cancelled.set();
        }
        return n;
      });
      const queue = await pair.work([slow]);
      for await (const value of queue.map(slow, [[0], [1]], { chunkSize: 1 })) {
        expect(value).toBe(0);
        await started.wait();
        break;
      }
      await cancelled.wait();
    });
  });

  describe("flows", () => {
    const ten = defineTask({ name: "test.ten" }, async (n: number) => n * 10);
    const collect = defineTask({ name: "test.collect" }, async () =>
      (currentJob()?.childResults ?? []).map((each) => (each instanceof Error ? each.name : each)),
    );

    test("a parent runs when its children have ended, and gets their results in order", async ({ pair }) => {
      const queue = await pair.work([ten, collect]);
      const flow = queue.flow(call(collect), [
        call(ten, 1),
        call(collect).after([call(ten, 5), call(ten, 6)]),
        call(ten, 3),
      ]);
      expect(await flow).toEqual([10, [50, 60], 30]);
      expect(flow.children).toHaveLength(3);
      expect(await flow.children[0]).toBe(10);
    });

    test("a child that fails for good fails its parent, with its error as the cause", async ({ pair }) => {
      const queue = await pair.work([ten, collect, fail]);
      const flow = queue.flow(call(collect), [call(ten, 1), call(fail, "broken")]);
      const error = await flow.then(undefined, (thrown: unknown) => thrown);
      expect(error).toMatchObject({ name: FlowChildFailedError.name, code: "FLOW_CHILD_FAILED" });
      expect((error as Error).cause).toMatchObject({ name: "RangeError", message: "broken" });
    });

    test("with returnExceptions the parent runs all the same and sees the errors", async ({ pair }) => {
      const queue = await pair.work([ten, collect, fail]);
      const flow = queue.flow(call(collect), [call(ten, 1), call(fail, "broken")], {
        returnExceptions: true,
      });
      expect(await flow).toEqual([10, "RangeError"]);
    });

    test("a cancelled child cancels its parent, unless that takes exceptions", async ({ pair }) => {
      const { queue } = pair;
      const strict = queue.flow(call(collect), [call(ten, 1), call(ten, 2)]);
      const tolerant = queue.flow(call(collect), [call(ten, 1), call(ten, 2)], { returnExceptions: true });
      await strict.children[0]?.sent();
      await tolerant.children[1]?.sent();
      strict.children[0]?.cancel("not this one");
      tolerant.children[1]?.cancel();
      await expect(strict.children[0]).rejects.toThrow(CancelledError);
      await pair.work([ten, collect]);
      await expect(strict).rejects.toThrow(new CancelledError("not this one"));
      expect(await tolerant).toEqual([10, "CancelledError"]);
    });

    test("arguments are checked by a schema that takes its time, too", async ({ pair }) => {
      const slowly = z.tuple([
        z
          .number()
          .refine(async (n) => n < 10, "too much")
          .transform((n) => n + 0.5),
      ]);
      const small = defineTask({ name: "test.small", args: slowly }, async (n: number) => n);
      const queue = await pair.work([small, ten, collect]);
      // Checked here, and again where it runs.
      expect(await queue.flow(call(collect), [call(small, 1)])).toEqual([2]);
      const refused = queue.flow(call(collect), [call(ten, 1), call(small, 11)]);
      await expect(refused).rejects.toMatchObject({ code: "TASK_ARGUMENTS" });
      await expect(refused.children[0]).rejects.toMatchObject({ code: "TASK_ARGUMENTS" });
      expect(await queue.counts()).toMatchObject({ waiting: 0, active: 0, completed: 2 });
    });

    test("cancelling the parent cancels its children", async ({ pair }) => {
      const { queue } = pair;
      const flow = queue.flow(call(collect), [call(ten, 1), call(ten, 2)]);
      await flow.sent();
      flow.cancel("never mind");
      await pair.work([ten, collect]);
      await expect(flow).rejects.toThrow(CancelledError);
      for (const child of flow.children) expect(await child.state()).toBe("cancelled");
    });
  });

  describe("schedules", () => {
    test("an interval runs at once and again, until it is removed", async ({ pair }) => {
      const times: number[] = [];
      const twice = new Event();
      const tick = defineTask({ name: "test.tick" }, async (label: string) => {
        times.push(performance.now());
        if (times.length === 2) twice.set();
        return label;
      });
      const queue = await pair.work([tick]);
      const schedule = await queue.schedule("ticking", { every: 100 }, tick, "tock");
      expect(schedule).toMatchObject({ id: "ticking", task: "test.tick", every: 100, lane: "loop" });
      await twice.wait();
      expect((await queue.schedules()).map(({ id }) => id)).toEqual(["ticking"]);
      expect(await schedule.run()).toBe("tock");
      expect(await schedule.remove()).toBe(true);
      expect(await queue.schedules()).toEqual([]);
      expect(await schedule.remove()).toBe(false);
    });

    test("a cron pattern means its time zone", async ({ pair }) => {
      const { queue } = pair;
      const noon = await queue.schedule(
        "noon",
        { cron: "0 12 * * *", timezone: "Pacific/Auckland" },
        echo,
        1,
      );
      const there = new Intl.DateTimeFormat("en-GB", { timeZone: "Pacific/Auckland", timeStyle: "short" });
      expect(there.format(noon.next)).toBe("12:00");
      const again = await queue.schedule(
        "noon",
        { cron: "30 12 * * *", timezone: "Pacific/Auckland" },
        echo,
        1,
      );
      expect(there.format(again.next)).toBe("12:30");
      expect(await queue.schedules()).toHaveLength(1);
      await again.remove();
    });

    test("a run that nobody waited for can be waited for", async ({ pair }) => {
      const gate = new Event();
      const started = new Event();
      const ids: string[] = [];
      const gated = defineTask({ name: "test.run" }, async () => {
        ids.push(currentJob()?.id ?? "");
        started.set();
        await gate.wait();
        return "ran";
      });
      const queue = await pair.work([gated]);
      const schedule = await queue.schedule("waited-for", { every: 3_600_000 }, gated);
      await started.wait();
      const attached = queue.attach(ids[0]!);
      await attached.sent();
      gate.set();
      expect(await attached).toBe("ran");
      await schedule.remove();
    });

    test("what cannot be a schedule is refused", async ({ pair }) => {
      const { queue } = pair;
      const refused = { code: "TASK_OPTIONS" };
      await expect(queue.schedule("x", { cron: "61 * * * *" }, echo, 1)).rejects.toMatchObject(refused);
      await expect(
        queue.schedule("x", { cron: "* * * * *", timezone: "Mars" }, echo, 1),
      ).rejects.toMatchObject(refused);
      await expect(queue.schedule("x", { every: -1 }, echo, 1)).rejects.toMatchObject(refused);
      await expect(queue.schedule("a:b", { every: 1 }, echo, 1)).rejects.toMatchObject(refused);
    });
  });

  describe("deduplication", () => {
    test("a key alone folds what comes into the job until that has ended", async ({ pair }) => {
      const { queue } = pair;
      const first = queue.with({ deduplicate: "k" }).submit(echo, "first");
      await first.sent();
      const second = queue.with({ deduplicate: "k" }).submit(echo, "second");
      await second.sent();
      expect(second.id).toBe(first.id);
      await pair.work([echo]);
      expect([await first, await second]).toEqual(["first", "first"]);
      expect(await queue.with({ deduplicate: "k" }).submit(echo, "third")).toBe("third");
    });

    test("a cancel of what is just being folded into a job reaches that job", async ({ pair }) => {
      const { queue } = pair;
      const first = queue.with({ deduplicate: "c" }).submit(echo, "first");
      await first.sent();
      const second = queue.with({ deduplicate: "c" }).submit(echo, "second");
      // Sent in this turn, and answered in a later one.
      await new Promise((resolve) => setImmediate(resolve));
      second.cancel("not needed");
      await expect(second).rejects.toThrow(new CancelledError("not needed"));
      await expect(first).rejects.toThrow(CancelledError);
      expect(await queue.counts()).toMatchObject({ waiting: 0, cancelled: 1 });
    });

    test("a deadline that passes while it is just being folded into a job holds for that job", async ({
      pair,
    }) => {
      const { queue } = pair;
      const first = queue.with({ deduplicate: "e" }).submit(echo, "first");
      await first.sent();
      const second = queue.with({ deduplicate: "e", deadline: 0 }).submit(echo, "second");
      await expect(second).rejects.toThrow(TimeoutError);
      expect(await queue.counts()).toMatchObject({ waiting: 0, cancelled: 1 });
    });

    test("a time to live holds the key after the job has ended (throttle)", async ({ pair }) => {
      const queue = await pair.work([echo]);
      const throttled = queue.with({ deduplicate: { key: "t", ttl: 60_000 } });
      expect(await throttled.submit(echo, 1)).toBe(1);
      expect(await throttled.submit(echo, 2)).toBe(1);
    });

    test("a delayed job gives way to a newer one (debounce)", async ({ pair }) => {
      const queue = await pair.work([echo]);
      const debounced = queue.with({
        delay: aWhile,
        deduplicate: { key: "d", ttl: 60_000, extend: true, replace: true },
      });
      const first = debounced.submit(echo, "first");
      await first.sent();
      const second = debounced.submit(echo, "second");
      expect([await second, await first]).toEqual(["second", "second"]);
      expect(first.id).toBe(second.id);
    });

    test("a delayed job takes a newer one's delay and keeps its arguments (reschedule)", async ({ pair }) => {
      const queue = await pair.work([echo]);
      const first = queue
        .with({ delay: 3_600_000, deduplicate: { key: "r", reschedule: true } })
        .submit(echo, "first");
      await first.sent();
      const second = queue
        .with({ delay: 1, deduplicate: { key: "r", reschedule: true } })
        .submit(echo, "second");
      expect([await second, await first]).toEqual(["first", "first"]);
    });

    test("the last that comes while the job runs is run after it (keepLastIfActive)", async ({ pair }) => {
      const started = new Event();
      const gate = new Event();
      const ran: string[] = [];
      const last = new Event();
      const work = defineTask({ name: "test.keep-last" }, async (label: string) => {
        ran.push(label);
        started.set();
        if (label === "first") await gate.wait();
        if (label === "third") last.set();
      });
      const queue = await pair.work([work]);
      const keep = queue.with({ deduplicate: { key: "l", keepLastIfActive: true } });
      const first = keep.submit(work, "first");
      await started.wait();
      await keep.submit(work, "second").sent();
      await keep.submit(work, "third").sent();
      gate.set();
      await first;
      await last.wait();
      expect(ran).toEqual(["first", "third"]);
    });
  });

  describe("failures", () => {
    test("are grouped by error, listed, and can be retried", async ({ pair }) => {
      let isMended = false;
      const shaky = defineTask({ name: "test.shaky" }, async (n: number) => {
        if (!isMended) throw new RangeError(`item ${n} is out of range`);
        return n;
      });
      const queue = await pair.work([shaky, fail]);
      const tasks = [queue.submit(shaky, 1), queue.submit(shaky, 2), queue.submit(fail, "other")];
      await Promise.allSettled(tasks);
      const groups = await queue.failed();
      const brief = groups.map(({ task, name, count }: FailureGroup) => `${task} ${name} ${count}`);
      expect(brief.toSorted()).toEqual(["test.fail RangeError 1", "test.shaky RangeError 2"]);
      const group = groups.find(({ task }) => task === "test.shaky")!;
      expect(new Set(group.jobs.map(({ id }) => id))).toEqual(new Set([tasks[0]?.id, tasks[1]?.id]));
      isMended = true;
      expect(await queue.retry(tasks[1]!.id)).toBe(2);
      expect(await queue.counts()).toMatchObject({ failed: 2, completed: 1 });
      await expect(queue.retry(tasks[1]!.id)).rejects.toMatchObject({ code: "TASK_OPTIONS" });
      await expect(queue.retry("loop.unknown")).rejects.toMatchObject({ code: "JOB_LOST" });
    });

    test("attempts are counted, and back-off of one submission goes before the task's", async ({ pair }) => {
      let calls = 0;
      const third = defineTask(
        { name: "test.third", backoff: { type: "fixed", delay: 3_600_000 } },
        async () => {
          if (++calls < 3) throw new Error("not yet");
        },
      );
      const queue = await pair.work([third]);
      const task = queue
        .with({ attempts: 3, backoff: { type: "exponential", delay: 2, jitter: 0.5 } })
        .submit(third);
      await task;
      expect(task.attempts).toBe(3);
    });
  });

  test("a cancelled job counts as neither completed nor failed", async ({ pair }) => {
    const { queue } = pair;
    const before = queue.submit(echo, 1);
    await before.sent();
    before.cancel();
    await expect(before).rejects.toThrow(CancelledError);
    const started = new Event();
    const wait = defineTask({ name: "test.count-wait" }, async () => {
      started.set();
      await sleep(60_000);
    });
    await pair.work([echo, wait]);
    await queue.submit(echo, 2);
    const running = queue.submit(wait);
    await started.wait();
    running.cancel();
    await expect(running).rejects.toThrow(CancelledError);
    const counts = { waiting: 0, active: 0, delayed: 0, completed: 1, failed: 0, cancelled: 2 };
    await expect.poll(() => queue.counts(), { timeout: 5_000 }).toEqual(counts);
  });

  test("drain cancels what waits, and lets what runs go on", async ({ pair }) => {
    const { queue } = pair;
    const tasks = [
      queue.submit(echo, 1),
      queue.with({ priority: 3 }).submit(echo, 2),
      queue.with({ delay: 3_600_000 }).submit(echo, 3),
    ];
    for (const task of tasks) await task.sent();
    expect(await queue.drain({ delayed: false })).toBe(2);
    expect(await tasks[2]?.state()).toBe("delayed");
    expect(await queue.drain()).toBe(1);
    for (const task of tasks) await expect(task).rejects.toThrow(new CancelledError("drained"));
  });

  test.skipIf(engineName.includes("shards"))(
    "priorities go smaller first, and those without one before all",
    async ({ pair }) => {
      const order: number[] = [];
      const note = defineTask({ name: "test.order" }, async (n: number) => void order.push(n));
      const { queue } = pair;
      const tasks = [9, 3, 5].map((priority) => queue.with({ priority }).submit(note, priority));
      tasks.push(queue.submit(note, 0));
      for (const task of tasks) await task.sent();
      await pair.work([note], { concurrency: 1 });
      for (const task of tasks) await task;
      expect(order).toEqual([0, 3, 5, 9]);
    },
  );

  test("a paused queue runs nothing until it is resumed", async ({ pair }) => {
    const queue = await pair.work([echo]);
    await queue.pause();
    const task = queue.submit(echo, 1);
    await task.sent();
    expect(await queue.counts()).toMatchObject({ waiting: 1 });
    expect(task.done()).toBe(false);
    await queue.resume();
    expect(await task).toBe(1);
  });

  test("a rate limit holds jobs back, and is lifted", async ({ pair }) => {
    const { queue } = pair;
    await queue.limit({ max: 2, per: 600_000 });
    const tasks = [1, 2, 3, 4].map((n) => queue.submit(echo, n));
    for (const task of tasks) await task.sent();
    await pair.work([echo]);
    expect([await tasks[0], await tasks[1]]).toEqual([1, 2]);
    expect(await queue.counts()).toMatchObject({ completed: 2, waiting: 2 });
    await queue.limit(undefined);
    expect([await tasks[2], await tasks[3]]).toEqual([3, 4]);
  });

  test("what surrounds a submission surrounds the job", async ({ pair }) => {
    const who = defineTask({ name: "test.who" }, async () => user.getStore());
    const queue = await pair.work([who]);
    const ada = user.run("Ada", () => queue.submit(who));
    const nobody = queue.submit(who);
    const mapped = user.run("Grace", () => queue.map(who, [[], []]));
    expect([await ada, await nobody, await mapped.toArray()]).toEqual(["Ada", undefined, ["Grace", "Grace"]]);
  });

  test("a task that changes its lane stays idempotent", async ({ pair }) => {
    const before = defineTask({ name: "test.moving" }, async () => "ran on the loop");
    const after = defineTask(
      { name: "test.moving", module: import.meta.url, runsOn: "thread" },
      async () => "ran on a thread",
    );
    const id = randomUUID();
    const queue = await pair.work([before]);
    expect(await queue.with({ id }).submit(before)).toBe("ran on the loop");
    expect(await queue.with({ id }).submit(after)).toBe("ran on the loop");
  });

  test("two clients that submit an id for both lanes in the same moment get one job", async ({ pair }) => {
    const before = defineTask({ name: "test.both" }, async () => {});
    const after = defineTask(
      { name: "test.both", module: import.meta.url, runsOn: "thread" },
      async () => {},
    );
    const { queue, engine } = pair;
    await using other = new TaskQueue({ engine, name: queue.name });
    await Promise.all([queue.connect(), other.connect()]);
    const ids = Array.from({ length: 40 }, () => randomUUID());
    for (const id of ids) {
      const both = [queue.with({ id }).submit(before), other.with({ id }).submit(after)];
      await Promise.all(both.map((task) => task.sent()));
      expect(both[0]?.id).toBe(both[1]?.id);
      for (const task of both) task.catch(() => {});
    }
    expect(await queue.counts()).toMatchObject({ waiting: ids.length });
  });

  test("a schema refuses arguments at submission, and again before running", async ({ pair }) => {
    const schema = z.tuple([z.number().int(), z.string().trim()]);
    const strict = defineTask({ name: "test.strict", args: schema }, async (n: number, s: string) => [n, s]);
    const lax = defineTask({ name: "test.strict" }, async (n: number, s: string) => [n, s]);
    const queue = await pair.work([strict]);
    expect(await queue.submit(strict, 1, " trimmed ")).toEqual([1, "trimmed"]);
    const refused = queue.submit(strict, 1.5, "x");
    await expect(refused).rejects.toThrow(TaskArgumentsError);
    expect(await refused.state()).toBe("unknown");
    await expect(queue.submit(lax, 1.5, "x")).rejects.toMatchObject({ code: "TASK_ARGUMENTS" });
    const statuses: string[] = [];
    const items: [number, string][] = [
      [1, "a"],
      [0.5, "b"],
      [2, "c"],
    ];
    for await (const { status } of queue.map(strict, items).settled()) statuses.push(status);
    expect(statuses).toEqual(["fulfilled", "rejected", "fulfilled"]);
  });

  test("a cancel while a schema takes its time ends the task, and nothing is sent", async ({ pair }) => {
    const { queue } = pair;
    const { promise: answered, resolve: answer } = Promise.withResolvers<boolean>();
    const slowly = z.tuple([z.number().refine(() => answered)]);
    const slow = defineTask({ name: "test.slow", args: slowly }, async (n: number) => n);
    const job = queue.submit(slow, 1);
    expect(job.cancel("never mind")).toBe(true);
    await expect(job).rejects.toThrow(new CancelledError("never mind"));
    answer(true);
    const other = queue.submit(slow, 2);
    await other.sent(); // Asked later, and answered by the same promise: by now the first would be there, too.
    expect(await queue.counts()).toMatchObject({ waiting: 1, cancelled: 0 });
    other.cancel();
    await expect(other).rejects.toThrow(CancelledError);
  });

  test("a queue is an executor of the loop", async ({ pair }) => {
    await pair.work([echo]);
    const { engine } = pair;
    const result = await run(async () => {
      const queue = new TaskQueue({ engine, name: pair.queue.name });
      const task = getRunningLoop().runInExecutor(queue, echo, "by the loop");
      await queue.shutdown();
      return task.result();
    });
    expect(result).toBe("by the loop");
  });

  test("a job is found again by another client, and its result is there until it expires", async ({
    pair,
  }) => {
    const { queue, engine } = pair;
    const task = queue.with({ keep: { completed: 1_000 } }).submit(echo, "kept");
    await task.sent();
    await using other = new TaskQueue({ engine, name: queue.name });
    const attached = other.attach(task.id);
    await pair.work([echo]);
    expect([await task, await attached]).toEqual(["kept", "kept"]);
    expect(await other.attach(task.id)).toBe("kept");
  });
});
