import { randomUUID } from "node:crypto";
import { Event, sleep } from "@taskloom/loop";
import { TaskQueue, TaskWorker, call, currentJob, defineTask } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { TcpProxy } from "../../../../test/faults/support/tcp-proxy.ts";
import { postgresTest } from "../../../../test/support/postgres.ts";
import { Pair } from "../pair.ts";
import { Refusals } from "./once-refused.ts";

const test = postgresTest.extend<{ pair: Pair; refusals: Refusals; proxy: TcpProxy }>({
  pair: async ({ postgres }, use) => {
    const pair = new Pair(postgres);
    await pair.queue.connect();
    await use(pair);
    await pair.close();
  },
  refusals: async ({ postgres, pair: _makesTheTables }, use) => {
    await using refusals = await Refusals.at(postgres);
    await use(refusals);
  },
  proxy: async ({ postgres }, use) => {
    const proxy = await TcpProxy.to(postgres);
    await use(proxy);
    proxy.close();
  },
});

const byValue = (a: number, b: number): number => a - b;
const total = (values: readonly number[]): number => values.reduce((sum, each) => sum + each, 0);

/** SQLSTATEs of a deadlock's victim, of a cancelled statement, and of a session that is ended. */
const codes = ["40P01", "57014", "57P01"];

describe.each(codes)("a statement that fails with %s", (code) => {
  test("leaves a success a success, run once", async ({ pair, refusals }) => {
    let runs = 0;
    const task = defineTask({ name: "test.succeeds" }, async (n: number) => (runs++, n));
    await pair.work([task]);
    await refusals.add({ table: "job", event: "UPDATE", when: "new.state = 'completed'", code });
    const job = pair.queue.submit(task, 7);
    expect(await job).toBe(7);
    expect(await job.state()).toBe("completed");
    expect(await refusals.count()).toBe(2);
    expect(runs).toBe(1);
  });

  test("leaves a failure the job's own, with all of its attempts", async ({ pair, refusals }) => {
    let runs = 0;
    const task = defineTask({ name: "test.fails", attempts: 2 }, async () => {
      throw new Error(`run ${++runs}`);
    });
    await pair.work([task]);
    await refusals.add({
      table: "job",
      event: "UPDATE",
      when: "old.state = 'active' AND new.attempts_made > old.attempts_made",
      code,
      times: 2,
    });
    await expect(pair.queue.submit(task)).rejects.toThrow("run 2");
    expect(runs).toBe(2);
  });

  test("leaves a job that is put back, and one that is handed back, in the queue", async ({
    pair,
    refusals,
  }) => {
    const began = new Event();
    let stays = true;
    const task = defineTask({ name: "test.stays" }, async () => {
      began.set();
      if (stays) await sleep(60_000);
      return "done";
    });
    const other = defineTask({ name: "test.other" }, async () => "other");
    await refusals.add({ table: "job", event: "UPDATE", when: "new.state = 'delayed'", code });
    const job = pair.queue.submit(task);
    const unknown = new Event();
    await pair.work([other], { onUnknown: () => unknown.set() });
    await unknown.wait();
    await expect.poll(() => refusals.count()).toBeGreaterThanOrEqual(2);
    await pair.stopWorkers();
    await refusals.add({ table: "job", event: "UPDATE", when: "new.state = 'waiting'", code });
    await pair.work([task], { drain: 0 });
    await began.wait();
    await pair.stopWorkers();
    expect(await refusals.count()).toBeGreaterThanOrEqual(1);
    stays = false;
    await pair.work([task]);
    expect(await job).toBe("done");
  });

  test("is no end of a submission, of a flow, or of a look", async ({ pair, refusals }) => {
    const seen: number[] = [];
    const part = defineTask({ name: "test.part" }, async (n: number) => (seen.push(n), n));
    const sum = defineTask({ name: "test.sum" }, async () => total(currentJob()?.childResults as number[]));
    await pair.work([part, sum]);
    for (const jobs of [1, 3]) {
      await refusals.add({ table: "job", event: "INSERT", when: "true", code });
      const tasks = Array.from({ length: jobs }, (_, n) => pair.queue.submit(part, n));
      expect(await Promise.all(tasks)).toEqual(tasks.map((_, n) => n));
      expect(await refusals.count()).toBeGreaterThan(jobs);
    }
    expect(seen.toSorted(byValue)).toEqual([0, 0, 1, 2]);
    await refusals.add({ table: "job", event: "INSERT", when: "true", code });
    expect(await pair.queue.flow(call(sum), [call(part, 5), call(part, 6)])).toBe(11);
    expect(seen.filter((n) => n >= 5).toSorted(byValue)).toEqual([5, 6]);
  });

  test("is no error of a task that logs and does not wait for it", async ({ pair, refusals }) => {
    const task = defineTask({ name: "test.logs" }, async () => {
      void currentJob()?.log("a line");
      return "logged";
    });
    await pair.work([task]);
    await refusals.add({ table: "job_log", event: "INSERT", when: "true", code });
    const job = pair.queue.submit(task);
    expect(await job).toBe("logged");
    expect(await job.logs()).toEqual(["a line"]);
  });

  test("is no error of a strict task whose end is sealed", async ({ pair, refusals }) => {
    const task = defineTask({ name: "test.strict", strict: true }, async () => "sealed");
    await pair.work([task]);
    await refusals.add({
      table: "job",
      event: "UPDATE",
      when: "new.deferred_failure IS DISTINCT FROM old.deferred_failure",
      code,
    });
    expect(await pair.queue.submit(task)).toBe("sealed");
    expect(await refusals.count()).toBe(2);
  });
});

describe.each(["asked", "answered"] as const)("a connection that is cut when a statement was %s", (when) => {
  test.for([
    // The statement of a turn is recognized by the end that it stores.
    ["value of run 1", 1],
    ["failed in run 1", 1],
    ["retry_job", 2],
    ["move_to_delayed", 2],
  ] as const)(
    "leaves an end that was stored by the statement with %s as it is, and runs nothing again",
    async ([statement, attempts], { pair, proxy }) => {
      let runs = 0;
      const task = defineTask(
        {
          name: "test.ends",
          attempts,
          ...(statement === "move_to_delayed" ? { backoff: { type: "fixed", delay: 10 } as const } : {}),
        },
        async () => {
          if (++runs < attempts || statement === "failed in run 1") throw new Error(`failed in run ${runs}`);
          return `value of run ${runs}`;
        },
      );
      const ends: { attempt: number; state: string }[] = [];
      const worker = new TaskWorker({
        engine: proxy.url,
        queues: [pair.queue.name],
        tasks: [task],
        threads: 1,
        drain: 0,
        onJob: ({ attempt, state }) => ends.push({ attempt, state }),
      });
      const running = worker.run();
      await worker.ready();
      const cut = proxy.cutAt(statement, when);
      const job = pair.queue.submit(task);
      await cut;
      proxy.mend();
      if (statement === "failed in run 1") await expect(job).rejects.toThrow("failed in run 1");
      else expect(await job).toBe(`value of run ${attempts}`);
      expect(runs).toBe(attempts);
      expect(job.attempts).toBe(attempts);
      const told =
        attempts === 2
          ? ["retrying", "completed"]
          : [statement === "failed in run 1" ? "failed" : "completed"];
      // The second run can end before the cut connection's end of the first is acknowledged.
      const byAttempt = () => ends.toSorted((a, b) => a.attempt - b.attempt).map(({ state }) => state);
      await expect.poll(byAttempt).toEqual(told);
      running.cancel();
      await Promise.allSettled([running]);
    },
  );

  test.for([
    ["taskloom_add_v1(", 1],
    ["taskloom_add_v1(", 3],
    ["add_flow", 3],
  ] as const)(
    "leaves what is submitted by %s there once, with %s jobs",
    async ([statement, count], { pair, proxy }) => {
      const seen: number[] = [];
      const part = defineTask({ name: "test.part" }, async (n: number) => (seen.push(n), n));
      const sum = defineTask({ name: "test.sum" }, async () => total(currentJob()?.childResults as number[]));
      await pair.work([part, sum]);
      await using queue = new TaskQueue({ engine: proxy.url, name: pair.queue.name });
      await queue.connect();
      const cut = proxy.cutAt(statement, when);
      const tasks =
        statement === "add_flow"
          ? [queue.flow(call(sum), [call(part, 0), call(part, 1), call(part, 2)])]
          : Array.from({ length: count }, (_, n) => queue.submit(part, n));
      await cut;
      proxy.mend();
      expect(await Promise.all(tasks)).toEqual(statement === "add_flow" ? [3] : tasks.map((_, n) => n));
      expect(seen.toSorted(byValue)).toEqual([0, 1, 2].slice(0, count));
    },
  );
});

test("a submitter whose server was not there goes on when it is", async ({ pair, proxy }) => {
  const task = defineTask({ name: "test.late" }, async (n: number) => n);
  await pair.work([task]);
  proxy.cut("reset");
  await using queue = new TaskQueue({ engine: proxy.url, name: pair.queue.name });
  await expect(queue.submit(task, 1)).rejects.toThrow(
    expect.objectContaining({ code: "ENGINE_UNAVAILABLE" }),
  );
  await expect(queue.counts()).rejects.toThrow(expect.objectContaining({ code: "ENGINE_UNAVAILABLE" }));
  proxy.mend();
  expect(await queue.submit(task, 2)).toBe(2);
  expect((await queue.counts()).completed).toBe(1);
});

test("a lane that is first used while the server is away is used when it is back", async ({
  pair,
  proxy,
}) => {
  const task = defineTask({ name: "test.first" }, async (n: number) => n);
  await pair.work([task]);
  await using queue = new TaskQueue({ engine: proxy.url, name: pair.queue.name });
  await queue.connect();
  proxy.cut("reset");
  const job = queue.submit(task, 3);
  await sleep(300); // So that a try or two meet the cut.
  proxy.mend();
  expect(await job).toBe(3);
});

describe("a session that is cut while a worker starts", () => {
  test.for([
    "pg_advisory",
    "taskloom_lane_claim",
    "taskloom_kept_until",
    "clock_timestamp",
    "SHOW synchronous_commit",
    "application_name",
    "LISTEN",
  ])("at %s, is no end of the process", async (statement, { postgres, pair: _makesTheTables, proxy }) => {
    const queues = [`test-${randomUUID().slice(0, 8)}`];
    const task = defineTask({ name: "test.starts" }, async () => "ran");
    const cut = proxy.cutAt(statement, "asked");
    const first = new TaskWorker({ engine: proxy.url, queues, tasks: [task], threads: 1, drain: 0 });
    const running = first.run();
    await cut;
    proxy.mend();
    // Before it is connected the worker ends with an error that says so; later it goes on.
    const started = await first.ready().then(
      () => "started",
      (error: unknown) => (error as { code?: string }).code,
    );
    expect(["started", "ENGINE_UNAVAILABLE"]).toContain(started);
    const worker = new TaskWorker({ engine: postgres, queues, tasks: [task], threads: 1, drain: 0 });
    const again = started === "started" ? running : worker.run();
    await using queue = new TaskQueue({ engine: postgres, name: queues[0]! });
    expect(await queue.submit(task)).toBe("ran");
    again.cancel();
    await Promise.allSettled([running, again]);
    await worker.engine.close();
  });
});
