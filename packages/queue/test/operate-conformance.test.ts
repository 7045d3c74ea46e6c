import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sleep } from "@taskloom/loop";
import { UnrecoverableError, defineTask } from "@taskloom/queue";
import type { TaskQueue } from "@taskloom/queue";
import {
  LaneQueues,
  allQueues,
  embeddedFolder,
  findJob,
  listJobs,
  readJob,
  retryFailed,
  retryStored,
  unservedReason,
} from "@taskloom/queue/operating";
import type { JobPage } from "@taskloom/queue/operating";
import type { Queue } from "bullmq";
import { describe, expect } from "vitest";
import { stores, unsharded } from "./engines.ts";
import { pairTest } from "./pair.ts";

const echo = defineTask({ name: "test.echo" }, async (value: unknown) => value);
const fail = defineTask({ name: "test.fail" }, async (number: number) => {
  throw new UnrecoverableError(`no disk ${number}`);
});

/** Every job of a query, page after page. */
async function allPages(queue: TaskQueue, query: { text?: string; limit: number }): Promise<JobPage[]> {
  const pages: JobPage[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await listJobs(queue.engine, [queue.name], {
      ...query,
      ...(cursor === undefined ? {} : { cursor }),
    });
    pages.push(page);
    cursor = page.next;
    if (cursor === undefined) return pages;
  }
}

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("all failed jobs are counted, found and retried, in however many pages", async ({ pair }) => {
    let isMended = false;
    const mend = defineTask({ name: "test.mend" }, async (number: number) => {
      if (!isMended) throw new UnrecoverableError(`no disk ${number}`);
      return number;
    });
    const queue = await pair.work([mend, fail]);
    const count = 230; // More than the engine reads at once.
    const jobs = Array.from({ length: count }, (_, number) => queue.submit(mend, number));
    const other = queue.submit(fail, 1);
    await Promise.allSettled([...jobs, other]);
    const groups = await queue.failed({ limit: 3 });
    expect(groups.map(({ task, count: all, jobs: latest }) => [task, all, latest.length])).toEqual(
      expect.arrayContaining([
        ["test.mend", count, 3],
        ["test.fail", 1, 1],
      ]),
    );
    const failedOnce = groups.find(({ task }) => task === "test.fail")?.jobs[0];
    expect(failedOnce).toMatchObject({ id: other.id, queue: queue.name, args: [1] });
    const pages = await allPages(queue, { limit: 100 });
    expect(pages.map(({ jobs: found }) => found.length)).toEqual([100, 100, count + 1 - 200]);
    const ids = pages.flatMap(({ jobs: found }) => found.map(({ id }) => id));
    expect(new Set(ids)).toEqual(new Set([...jobs, other].map(({ id }) => id)));
    const [oldest] = await allPages(queue, { text: `${jobs[0]?.id}`, limit: 1 });
    expect(oldest?.jobs.map(({ id }) => id)).toEqual([jobs[0]?.id]);
    isMended = true;
    expect(await queue.retryFailed({ task: "test.mend" })).toBe(count);
    await expect
      .poll(async () => await queue.counts(), { timeout: 60_000 })
      .toMatchObject({ failed: 1, completed: count, waiting: 0 });
  });

  test("jobs that fail again at once are retried once", async ({ pair }) => {
    const queue = await pair.work([fail]);
    await Promise.allSettled(Array.from({ length: 45 }, (_, number) => queue.submit(fail, number)));
    expect(await queue.retryFailed()).toBe(45);
    expect(await queue.retryFailed({ task: "test.none" })).toBe(0);
  });

  test("an operator's retry gives a job all its attempts, and no deadline", async ({ pair }) => {
    let runs = 0;
    const flaky = defineTask({ name: "test.flaky", attempts: 2 }, async () => {
      if (++runs < 4) throw new Error(`run ${runs}`);
      return runs;
    });
    const queue = await pair.work([flaky]);
    const job = queue.with({ deadline: 60_000 }).submit(flaky);
    await expect(job).rejects.toThrow("run 2");
    const queues = new LaneQueues(queue.engine, queue.name);
    const stored = await queues.lane("loop").getJob(job.id);
    await stored?.updateData({ ...stored.data, deadline: 1 });
    await retryStored(queues, "loop", job.id);
    expect(await queue.attach(job.id)).toBe(4);
    expect((await readJob(queues, { lane: "loop", stored: job.id }))?.attempts).toBe(2);
    await expect(retryStored(queues, "loop", job.id)).rejects.toMatchObject({ code: "TASK_OPTIONS" });
    await expect(retryStored(queues, "loop", "loop.none")).rejects.toMatchObject({ code: "JOB_LOST" });
    await queues.close();
  });

  test("only one kind of error is retried when it is named", async ({ pair }) => {
    const queue = await pair.work([fail]);
    await Promise.allSettled([queue.submit(fail, 1), queue.submit(fail, 2)]);
    const open = new LaneQueues(queue.engine, queue.name);
    const which = (message: string): object => ({ error: { name: "UnrecoverableError", message } });
    const none = await retryFailed(queue.engine, () => open, [queue.name], which("another message"));
    expect(none).toEqual({ retried: [], skipped: [] });
    const both = await retryFailed(queue.engine, () => open, [queue.name], which("no disk 99"));
    expect(both.retried).toHaveLength(2);
    await open.close();
  });

  test("a listing leaves large arguments out, and a search through them stops at a bound of bytes", async ({
    pair,
  }) => {
    const { queue } = pair;
    await queue.submit(echo, "small").sent();
    const large = Array.from({ length: 20 }, (_, number) =>
      queue.submit(echo, `${randomBytes(500_000).toString("hex")} needle${number}.`),
    );
    for (const job of large) await job.sent();
    const listed = await listJobs(queue.engine, [queue.name], { limit: 50 });
    expect(listed.jobs).toHaveLength(21);
    expect(listed.next).toBeUndefined();
    expect(listed.jobs.at(-1)?.args).toEqual(["small"]);
    for (const { args, omitted } of listed.jobs.slice(0, 20)) {
      expect(args).toEqual([]);
      expect(omitted?.["data"]).toBeGreaterThan(400_000);
    }
    const pages = await allPages(queue, { text: "NEEDLE0.", limit: 1 });
    expect(pages.length).toBeGreaterThan(1);
    expect(pages.flatMap(({ jobs }) => jobs.map(({ id }) => id))).toEqual([large[0]?.id]);
    expect(pages.reduce((sum, { searched }) => sum + searched, 0)).toBe(21);
    const place = await findJob(queue.engine, [queue.name], large[3]!.id);
    expect(place).toEqual({ queue: queue.name, lane: "loop", stored: large[3]?.id });
    await expect(
      listJobs(queue.engine, [queue.name], { limit: 1, cursor: "no cursor" }),
    ).rejects.toMatchObject({ code: "TASK_OPTIONS" });
    for (const job of large) job.catch(() => {});
    expect(await queue.drain()).toBe(21);
  });

  test("a job that is cancelled before it started was never tried", async ({ pair }) => {
    const { queue } = pair;
    const job = queue.with({ delay: 60_000 }).submit(echo, 1);
    await job.sent();
    job.cancel("not needed");
    await expect(job).rejects.toThrow("not needed");
    expect(job.attempts).toBe(0);
    const queues = new LaneQueues(queue.engine, queue.name);
    expect(await readJob(queues, { lane: "loop", stored: job.id })).toMatchObject({
      state: "cancelled",
      reason: "not needed",
      attempts: 0,
    });
    await queues.close();
  });

  test("a delayed job has the time at which it is due, and no other job has one", async ({ pair }) => {
    const { queue } = pair;
    await pair.work([echo]);
    const before = queue.engine.now();
    const [delayed, ended] = [queue.with({ delay: 60_000 }).submit(echo, 1), queue.submit(echo, 2)];
    await delayed.sent();
    expect(await ended).toBe(2);
    const queues = new LaneQueues(queue.engine, queue.name);
    const [due, none] = await Promise.all(
      [delayed, ended].map(async ({ id }) => (await readJob(queues, { lane: "loop", stored: id }))?.dueAt),
    );
    expect(none).toBeUndefined();
    expect(due).toBeGreaterThanOrEqual(Math.floor(before) + 60_000);
    expect(due).toBeLessThanOrEqual(Math.ceil(queue.engine.now()) + 60_000);
    const { jobs } = await listJobs(queue.engine, [queue.name], { state: "delayed", limit: 50 });
    expect(jobs.map(({ dueAt }) => dueAt)).toEqual([due]);
    await queues.close();
    delayed.cancel();
    await delayed.catch(() => {});
  });

  test("a queue is known once it is used, and served while a worker lives that takes from it", async ({
    pair,
  }) => {
    const { queue } = pair;
    const { engine, name } = queue;
    const job = queue.submit(echo, 1);
    await job.sent();
    expect(await allQueues(engine)).toContain(name);
    expect(await unservedReason(engine, name)).toMatch(new RegExp(`No live worker serves queue ${name}`));
    await pair.work([echo]);
    expect(await unservedReason(engine, name, "test.echo")).toBeUndefined();
    expect(await unservedReason(engine, name, "test.other")).toMatch(/knows a task test\.other/);
    expect(await job).toBe(1);
    await pair.stopWorkers();
    expect(await unservedReason(engine, name)).toMatch(/No live worker/);
    expect(await allQueues(engine)).toContain(name);
  });

  test("a run that takes too long fails with its limit and its time", async ({ pair }) => {
    const slow = defineTask({ name: "test.slow" }, async () => await sleep(60_000));
    const own = defineTask({ name: "test.own" }, async () => {
      throw new RangeError("its own error");
    });
    const queue = await pair.work([slow, own]);
    await expect(queue.with({ timeout: 20 }).submit(slow)).rejects.toThrow(
      /^Attempt 1 of job loop\.\S+ \(test\.slow\) did not end within its timeout of 20 ms; it was stopped after \d+ ms$/,
    );
    await expect(queue.with({ timeout: 60_000 }).submit(own)).rejects.toThrow(/^its own error$/);
  });
});

/** Only through BullMQ can anybody write past the client; there is no way to do that in memory. */
const withBullMQ = unsharded.filter(({ name }) => name !== "memory");

describe.each(withBullMQ)("on $name", ({ name: engineName, test: engineTest }) => {
  const test = pairTest(engineTest);

  test("a job whose workers died too often runs when it is retried", async ({ pair }) => {
    const { queue } = pair;
    const job = queue.submit(echo, "back");
    await job.sent();
    await setDeaths(queue, engineName, job.id, 9);
    await pair.work([echo]);
    await expect(job).rejects.toMatchObject({ code: "WORKER_DIED" });
    expect(await queue.retry(job.id)).toBe("back");
  });

  test("a record that is not a submission is shown as it is, and its worker fails it", async ({ pair }) => {
    const { queue } = pair;
    await queue.connect();
    const bull = queue.engine.openQueue(`${queue.name}.loop`);
    const odd: Record<string, unknown> = {
      null: null,
      list: [1],
      text: "text",
      "pack without a list": { v: 1, version: 1, pack: true },
      "arguments that are no list": { v: 1, version: 1, args: "1" },
    };
    const ids = new Map<string, string>();
    for (const [kind, data] of Object.entries(odd)) {
      ids.set(kind, `loop.odd-${ids.size}`);
      await bull.add("test.echo", data, { jobId: ids.get(kind)! });
    }
    if (engineName.startsWith("redis")) {
      for (const [field, text] of [
        ["data", "{no JSON"],
        ["opts", "{no JSON"],
        ["opts", "null"],
        ["progress", "{no JSON"],
      ] as const) {
        const id = `loop.odd-${ids.size}`;
        ids.set(`${field} ${text}`, id);
        await bull.add("test.echo", { v: 1, version: 1, args: [1] }, { jobId: id });
        await setField(bull, id, field, text);
      }
    }
    const good = queue.submit(echo, "good");
    await good.sent();
    const { jobs } = await listJobs(queue.engine, [queue.name], { limit: 50 });
    expect(new Set(jobs.map(({ id }) => id))).toEqual(new Set([...ids.values(), good.id]));
    for (const { id, unreadable } of jobs) {
      if (id === good.id) expect(unreadable).toBeUndefined();
      else expect(unreadable).toMatch(/^(its|it has) /);
    }
    const warnings: unknown[] = [];
    const warn = (error: unknown): void => void warnings.push(error);
    process.on("uncaughtException", warn).on("unhandledRejection", warn);
    const tell = (): void => {};
    await pair.work([echo], { onStart: tell, onJob: tell });
    expect(await good).toBe("good");
    for (const id of ids.values())
      await expect(queue.attach(id)).rejects.toMatchObject({ code: "MALFORMED" });
    expect((await queue.failed())[0]?.count).toBeGreaterThan(0);
    const again = await listJobs(queue.engine, [queue.name], { state: "failed", limit: 50 });
    expect(again.jobs).toHaveLength(ids.size);
    expect(warnings).toEqual([]);
    process.off("uncaughtException", warn).off("unhandledRejection", warn);
    await bull.close();
  });

  test("a record that is not a submission can be cancelled", async ({ pair }) => {
    const { queue } = pair;
    await queue.connect();
    const bull = queue.engine.openQueue(`${queue.name}.loop`);
    await bull.add("test.echo", null, { jobId: "loop.odd" });
    if (engineName.startsWith("redis")) {
      await setField(bull, "loop.odd", "opts", "{no JSON");
    }
    expect(await queue.drain()).toBe(1);
    expect(await queue.counts()).toMatchObject({ waiting: 0, active: 0, cancelled: 1 });
    await bull.close();
  });
});

/** Writes how often a job's workers died, as the stalled check of BullMQ does. */
async function setDeaths(queue: TaskQueue, engineName: string, id: string, count: number): Promise<void> {
  const bull = queue.engine.openQueue(`${queue.name}.loop`);
  if (engineName.startsWith("redis")) {
    await setField(bull, id, "stc", String(count));
  } else if (engineName.startsWith("embedded")) {
    using database = new DatabaseSync(join(embeddedFolder(queue.engine.url)!, "taskloom.sqlite"));
    database.exec("PRAGMA busy_timeout = 10000");
    database.prepare("UPDATE job SET stalled = ? WHERE id = ?").run(count, id);
  } else {
    const pool = bull.opts.connection as unknown as {
      query(text: string, params: unknown[]): Promise<unknown>;
    };
    await pool.query("UPDATE bullmq.job SET stalled_count = $1 WHERE id = $2", [count, id]);
  }
  await bull.close();
}

/** Writes one field of a job on Redis, as any client of it can. */
async function setField(bull: Queue, id: string, field: string, text: string): Promise<void> {
  const client = bull.opts.connection as unknown as { hset(...args: string[]): Promise<number> };
  await client.hset(`${bull.keys[""]}${id}`, field, text);
}
