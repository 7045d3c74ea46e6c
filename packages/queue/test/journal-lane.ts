import { randomUUID } from "node:crypto";
import { Queue } from "@taskloom/loop";
import { openEngine } from "@taskloom/queue";
import type { Engine } from "@taskloom/queue";
import { DelayedError } from "bullmq";
import type { TestAPI } from "vitest";
import type { BullJob, LaneQueue } from "../src/contract/lane-queue.ts";
import type { EngineWorker } from "../src/contract/engine-worker.ts";
import type { RunAppend, RunJournal } from "../src/contract/run-journal.ts";
import type { JobData } from "../src/wire/job-data.ts";
import type { EngineTest } from "./engines.ts";

/** A run that a worker has taken. */
export interface Claim {
  readonly job: BullJob;
  readonly id: string;
  readonly token: string;
  /** Lets the worker store the end of the job. */
  readonly end: () => void;
  /** Lets the worker go, after the job was put elsewhere. */
  readonly leave: () => void;
}

/** The data of a run, with one argument. */
export const dataOf = (arg: unknown): JobData => ({ v: 1, version: 1, args: [arg] });

/** A lane of runs for one test, with a worker that passes each claim to the test. */
export class JournalLane {
  readonly engine: Engine;
  readonly name: string = `test-${randomUUID().slice(0, 8)}.workflow`;
  readonly #worker: EngineWorker;
  readonly #lane: LaneQueue;
  readonly #claims = new Queue<Claim>();

  constructor(url: string) {
    this.engine = openEngine(url);
    this.#worker = this.engine.openWorker(this.name, (job, token) => this.#process(job, token!), {
      autorun: false,
      concurrency: 1_000,
      lockDuration: 60_000,
      stalledInterval: 60_000,
    });
    this.#lane = this.engine.openLane(this.name);
    this.#worker.on("error", () => {}); // A test sees the refusals of its own commands.
  }

  get journal(): RunJournal {
    return this.engine.journal;
  }

  get workerId(): string {
    return this.#worker.id;
  }

  #process(job: BullJob, token: string): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const claim: Claim = {
      job,
      id: job.id!,
      token,
      end: () => resolve("done"),
      leave: () => reject(new DelayedError()),
    };
    this.#claims.putNowait(claim);
    return promise;
  }

  async start(): Promise<void> {
    await this.engine.connect();
    await this.#worker.waitUntilReady();
    void this.#worker.run();
  }

  /** Resolves with the next run that the worker takes. */
  async claim(): Promise<Claim> {
    return await this.#claims.get();
  }

  async add(id: string, delay?: number): Promise<void> {
    const opts = delay === undefined ? { jobId: id } : { jobId: id, delay };
    await this.#lane.addBulk([{ name: "run", data: dataOf(id), opts }]);
  }

  /** Adds a run, and resolves with its first claim. */
  async started(id: string = `workflow.${randomUUID()}`): Promise<Claim> {
    await this.add(id);
    return await this.claim();
  }

  /** Puts a run back as if the lock of its owner had lapsed, and resolves with the next claim. */
  async lapse(claim: Claim): Promise<Claim> {
    await claim.job.moveToWait(claim.token);
    claim.leave();
    return await this.claim();
  }

  async state(id: string): Promise<string> {
    return await this.#lane.getJobState(id);
  }

  async close(): Promise<void> {
    while (!this.#claims.empty()) this.#claims.getNowait().leave();
    await this.#worker.close(true);
    await this.#lane.close();
    await this.engine.close();
  }
}

/** Returns an append with defaults for a run that was never opened. */
export const append = (
  id: string,
  at: number,
  entries: string[],
  more: Partial<RunAppend> = {},
): RunAppend => ({
  id,
  epoch: 0,
  generation: 0,
  consume: 0,
  at,
  entries,
  ...more,
});

/** A test of an engine that has a {@link JournalLane} of its own. */
export const laneTest = (engineTest: EngineTest): TestAPI<{ engine: string; lane: JournalLane }> =>
  engineTest.extend<{ lane: JournalLane }>({
    lane: async ({ engine }, use) => {
      const lane = new JournalLane(engine);
      await lane.start();
      await use(lane);
      await lane.close();
    },
  });
