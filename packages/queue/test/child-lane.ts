import { randomUUID } from "node:crypto";
import { Queue } from "@taskloom/loop";
import type { JobsOptions } from "bullmq";
import type { TestAPI } from "vitest";
import type { EndDelivery } from "../src/contract/lane-driver.ts";
import type { BullJob, LaneQueue } from "../src/contract/lane-queue.ts";
import type { EngineWorker } from "../src/contract/engine-worker.ts";
import type { EngineTest } from "./engines.ts";
import { dataOf, laneTest } from "./journal-lane.ts";
import type { JournalLane } from "./journal-lane.ts";

/** An end that a worker has stored. */
export interface Ended {
  readonly id: string;
  readonly state: "completed" | "failed";
  readonly isDelivered: boolean;
}

/** The body of a job. */
export type Run = (job: BullJob, token: string) => unknown;

/** A lane of jobs whose ends are delivered to runs of a {@link JournalLane}. */
export class ChildLane {
  readonly name: string = `children-${randomUUID().slice(0, 8)}`;
  readonly ended = new Queue<Ended>();
  readonly refused: Error[] = [];
  readonly #deliveries = new Map<string, EndDelivery>();
  readonly #runs = new Map<string, Run>();
  readonly #worker: EngineWorker;
  readonly #lane: LaneQueue;

  constructor({ engine }: JournalLane) {
    const process = async (job: BullJob, token?: string) => await this.#runs.get(job.id!)?.(job, token!);
    this.#worker = engine.openWorker(this.name, process, {
      autorun: false,
      concurrency: 1_000,
      lockDuration: 60_000,
      stalledInterval: 60_000,
      deliveryOf: ({ id }) => this.#deliveries.get(id!),
    });
    this.#lane = engine.openLane(this.name);
    const onEnd = (state: Ended["state"], job: BullJob): void =>
      this.ended.putNowait({ id: job.id!, state, isDelivered: job.isDelivered === true });
    this.#worker.on("completed", (job) => onEnd("completed", job));
    this.#worker.on("failed", (job) => onEnd("failed", job!));
    this.#worker.on("error", (error) => this.refused.push(error));
  }

  async start(): Promise<void> {
    await this.#worker.waitUntilReady();
    void this.#worker.run();
  }

  /** Adds jobs whose ends have these deliveries, and that run as `run` says. */
  async add(
    deliveries: readonly (EndDelivery | undefined)[],
    { run, ...opts }: JobsOptions & { readonly run?: Run } = {},
  ): Promise<void> {
    const jobs = deliveries.map((delivery) => {
      const jobId = `job.${randomUUID()}`;
      if (delivery !== undefined) this.#deliveries.set(jobId, delivery);
      if (run !== undefined) this.#runs.set(jobId, run);
      return { name: "child", data: dataOf(0), opts: { jobId, ...opts } };
    });
    await this.#lane.addBulk(jobs);
  }

  /** Adds a job, and resolves with its end. */
  async end(
    delivery: EndDelivery | undefined,
    how: JobsOptions & { readonly run?: Run } = {},
  ): Promise<Ended> {
    await this.add([delivery], how);
    return await this.ended.get();
  }

  async state(id: string): Promise<string> {
    return await this.#lane.getJobState(id);
  }

  async close(): Promise<void> {
    await this.#worker.close(true);
    await this.#lane.close();
  }
}

/** Returns the delivery of the end with this number to a run. */
export const endFor = (lane: JournalLane, id: string, n: number): EndDelivery => ({
  lane: lane.name,
  id,
  item: JSON.stringify([n, 0, `result ${n}`]),
  key: `end:${n}`,
});

/** A test of an engine that has a lane of runs, and a {@link ChildLane} for it. */
export const childTest = (
  engineTest: EngineTest,
): TestAPI<{ engine: string; lane: JournalLane; children: ChildLane }> =>
  laneTest(engineTest).extend<{ children: ChildLane }>({
    children: async ({ lane }, use) => {
      const children = new ChildLane(lane);
      await children.start();
      await use(children);
      await children.close();
    },
  });
