import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { TaskQueue } from "@taskloom/queue";
import type { Queue } from "bullmq";
import { expect } from "vitest";
import type { TaskloomProcess } from "../../support/taskloom-process.ts";
import { Workers, full, measured, until } from "../support/fault-test.ts";
import { Ledger } from "../support/ledger.ts";
import { boardCounts } from "./board-counts.ts";
import { judge } from "./judge.ts";
import { MixedLoad } from "./mixed-load.ts";
import { plainEvents, plainQueue } from "./plain-classes.ts";
import { PlainProcess } from "./plain-process.ts";
import { reportedEnds, storedEnds } from "./seen-ends.ts";
import type { SeenEnds } from "./seen-ends.ts";

/** The number of kills of each kind of worker. */
const KILLS = full ? 10 : 1;
/** The number of ends before each kill. */
const ENDS_BEFORE_KILL = 60;
const CONCURRENCY = 10;

/** The workers of both kinds on one lane, two of each, of which the older one is killed. */
class BothKinds {
  readonly ledger: Ledger;
  /** The processes that were killed. */
  readonly killed = new Set<number>();
  /** The number of jobs that were running in a worker when it was killed. */
  cutOff = 0;
  readonly #url: string;
  readonly #workers: Workers;
  readonly #taskloom: TaskloomProcess[] = [];
  readonly #plain: PlainProcess[] = [];

  constructor(url: string, ledger: Ledger) {
    this.#url = url;
    this.ledger = ledger;
    this.#workers = new Workers(() => url, ledger);
  }

  async startTaskloom(): Promise<void> {
    const tasks = "../side-by-side/tasks.ts";
    this.#taskloom.push(await this.#workers.start({ tasks, concurrency: CONCURRENCY }));
  }

  async startPlain(): Promise<void> {
    this.#plain.push(await PlainProcess.start(this.#url, CONCURRENCY, this.ledger.path));
  }

  async killTaskloom(): Promise<void> {
    await this.#kill(this.#taskloom.shift()!);
  }

  async killPlain(): Promise<void> {
    await this.#kill(this.#plain.shift()!);
  }

  async #kill(victim: TaskloomProcess | PlainProcess): Promise<void> {
    const { pid } = victim.child;
    await this.#stopWhileRunning(victim);
    await victim.kill();
    this.killed.add(pid!);
    this.cutOff += this.ledger.cutOff(pid!).length;
  }

  /** Stops a worker at a moment at which it runs a job: a worker whose jobs have all ended would make an easy death. */
  async #stopWhileRunning({ child }: TaskloomProcess | PlainProcess): Promise<void> {
    await until("the worker runs a job", () => {
      child.kill("SIGSTOP");
      const isRunning = this.ledger.cutOff(child.pid!).length > 0;
      if (!isRunning) child.kill("SIGCONT");
      return isRunning;
    });
  }

  /** Returns the address of a Taskloom worker, which serves bull-board. */
  async address(): Promise<string> {
    const [, address] = await this.#taskloom.at(-1)!.printed(/"event":"ready".*"http":"([^"]+)"/);
    return address!;
  }

  async stopAll(): Promise<void> {
    await Promise.all([this.#workers.stopAll(), ...this.#plain.map((worker) => worker.kill())]);
  }
}

/**
 * Runs workers and clients of both kinds on one lane, and kills workers of both kinds under load. Every job ends once, with
 * its own result, for its client, for BullMQ's QueueEvents, and in the counts of all.
 */
export async function sideBySide(url: string, folder: string): Promise<void> {
  const both = new BothKinds(url, new Ledger(join(folder, "ledger")));
  await using taskloom = new TaskQueue({ engine: url });
  await taskloom.connect();
  const [plain, events] = [plainQueue(url), plainEvents(url)];
  try {
    await events.waitUntilReady();
    const seen = reportedEnds(events);
    await Promise.all([both.startTaskloom(), both.startTaskloom(), both.startPlain(), both.startPlain()]);
    const load = new MixedLoad(taskloom, plain);
    const began = performance.now();
    await underKills(both, load, plain);
    const stopped = performance.now();
    await untilEnded(plain, load.added.length);
    await until("the Taskloom client has every outcome", () => load.isSettled);
    const settled = Math.round(performance.now() - stopped);
    const counts = await taskloom.counts();
    expect(counts).toMatchObject({ waiting: 0, active: 0, delayed: 0 });
    expect(await boardCounts(await both.address())).toMatchObject(await plain.getJobCounts());
    const ends = await allEnds(url, seen, load);
    const verdict = judge(load.added, ends, both.ledger, both.killed);
    expect(verdict.faults.slice(0, 5)).toEqual([]);
    expect(counts).toMatchObject({ completed: verdict.completed, failed: verdict.failed });
    expect(await plain.getJobCounts("completed", "failed")).toEqual({
      completed: verdict.completed,
      failed: verdict.failed,
    });
    expect(Math.min(...Object.values(verdict.pairs)), JSON.stringify(verdict.pairs)).toBeGreaterThan(0);
    expect(both.cutOff).toBeGreaterThan(0);
    measured(
      `${load.added.length} jobs, ${2 * KILLS} kills that cut ${both.cutOff} runs off, ${verdict.reruns} re-runs; client to worker ${JSON.stringify(verdict.pairs)}; ${ends.count} events of an end, of which QueueEvents reported ${seen.count}; load ${Math.round(stopped - began)} ms, settled after ${settled} ms`,
    );
  } finally {
    await Promise.all([events.close(), plain.close(), both.stopAll()]);
  }
}

/** Returns the number of jobs that have ended. */
async function endedIn(plain: Queue): Promise<number> {
  const { completed = 0, failed = 0 } = await plain.getJobCounts("completed", "failed");
  return completed + failed;
}

async function untilEnded(plain: Queue, count: number): Promise<void> {
  await expect
    .poll(() => endedIn(plain), { timeout: 120_000, interval: 20, message: "jobs end" })
    .toBeGreaterThanOrEqual(count);
}

/**
 * Returns all events of ends. On PostgreSQL they are read from BullMQ's table: its QueueEvents reads the events behind the
 * last id that it has seen, and so skips events whose transaction is committed after that of a later id. The reported events
 * are then a part of the stored ones.
 */
async function allEnds(url: string, seen: SeenEnds, load: MixedLoad): Promise<SeenEnds> {
  if (!url.startsWith("postgres")) {
    await until("QueueEvents reports every end", () => seen.jobs >= load.added.length);
    return seen;
  }
  const ends = await storedEnds(url);
  for (let before = -1; before < seen.jobs; await delay(500)) before = seen.jobs;
  for (const { id } of load.added) {
    const reported = seen.of(id);
    if (reported.length > 0) expect(reported).toEqual(ends.of(id));
  }
  expect(seen.jobs).toBeGreaterThan(0);
  return ends;
}

/** Keeps the load on the lane, and kills workers of both kinds in turn. */
async function underKills(both: BothKinds, load: MixedLoad, plain: Queue): Promise<void> {
  const over = new AbortController();
  const loading = (async () => {
    for (; !over.signal.aborted; await delay(10)) await load.fill(await endedIn(plain));
  })();
  const moreEnds = async (): Promise<void> => {
    await untilEnded(plain, (await endedIn(plain)) + ENDS_BEFORE_KILL);
  };
  for (let kill = 0; kill < KILLS; kill++) {
    await moreEnds();
    await both.killTaskloom();
    if (kill < KILLS - 1) await both.startTaskloom();
    await moreEnds();
    await both.killPlain();
    if (kill < KILLS - 1) await both.startPlain();
  }
  await moreEnds();
  over.abort();
  await loading;
}
