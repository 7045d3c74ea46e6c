import type { JobsOptions } from "bullmq";
import type { JobData } from "../../wire/job-data.ts";
import type { BullJob, LaneJob, NewJob } from "../../contract/lane-queue.ts";

/** The state of a job in memory, by BullMQ's names. */
export type MemoryState = "waiting" | "delayed" | "active" | "waiting-children" | "completed" | "failed";

/** The children that a flow's parent waits for, and the results of those that ended. */
export interface MemoryDependencies {
  readonly pending: Set<string>;
  readonly values: Record<string, unknown>;
}

/** The moves of a job from one state to another, which its lane makes. */
export interface JobMoves {
  delay(job: MemoryJob, milliseconds: number): void;
  wait(job: MemoryJob): void;
  waitLast(job: MemoryJob): void;
  complete(job: MemoryJob, value: unknown): void;
  progressed(job: MemoryJob): void;
  promote(job: MemoryJob): void;
  retry(job: MemoryJob): void;
}

/** A job in memory: the part of BullMQ's Job that is used here. Its lane moves it. */
export class MemoryJob implements BullJob, LaneJob {
  readonly id: string;
  name: string;
  readonly opts: JobsOptions;
  readonly timestamp: number;
  /** The place among the jobs of one priority. */
  sequence: number;
  data: JobData;
  state: MemoryState = "waiting";
  attemptsMade = 0;
  attemptsStarted = 0;
  /** A worker in this process cannot die alone. */
  readonly stalledCounter = 0;
  processedOn: number = 0;
  finishedOn?: number;
  /** The time at which the job is or was due; undefined for one that was never delayed. */
  dueAt: number | undefined;
  /** The time of its removal; undefined until it has ended. */
  keptUntil: number | undefined;
  returnvalue: unknown = null;
  failedReason = "";
  stacktrace: string[] = [];
  deferredFailure?: string;
  /** The holder's token: a worker's while the job runs, a canceller's while the job is being ended. */
  token: string | undefined;
  readonly logs: string[] = [];
  readonly dependencies: MemoryDependencies = { pending: new Set(), values: {} };
  /** The parent that waits for the job, and the key of its result there. */
  parent: { readonly job: MemoryJob; readonly key: string } | undefined;
  /** The schedule that made the job. */
  schedule: string | undefined;
  readonly #lane: JobMoves;

  progress: BullJob["progress"] = 0;

  constructor(lane: JobMoves, id: string, { name, data, opts }: NewJob, now: number, sequence: number) {
    this.#lane = lane;
    this.id = id;
    this.name = name;
    // As on every other engine, the stored data is a copy: later changes of the original have no effect.
    this.data = JSON.parse(JSON.stringify(data));
    this.opts = opts;
    this.timestamp = now;
    this.sequence = sequence;
  }

  async log(line: string): Promise<number> {
    return this.logs.push(line);
  }

  async updateProgress(progress: unknown): Promise<void> {
    this.progress = JSON.parse(JSON.stringify(progress));
    this.#lane.progressed(this);
  }

  async updateData(data: JobData): Promise<void> {
    this.data = JSON.parse(JSON.stringify(data));
  }

  async moveToDelayed(timestamp: number): Promise<void> {
    this.#lane.delay(this, timestamp - Date.now());
  }

  async moveToWait(): Promise<number> {
    this.#lane.wait(this);
    return 0;
  }

  async moveToCompleted(value: unknown, token: string): Promise<void> {
    if (this.token !== token) throw new Error(`Missing lock for job ${this.id}`);
    this.#lane.complete(this, value);
  }

  async promote(): Promise<void> {
    if (this.state !== "delayed") throw new Error(`Job ${this.id} is not in the delayed state`);
    this.#lane.promote(this);
  }

  async retry(): Promise<void> {
    this.#lane.retry(this);
  }

  /** Lets a parent run whose children have all ended. */
  release(): void {
    this.#lane.waitLast(this);
  }

  async getChildrenValues<T = unknown>(): Promise<Record<string, T>> {
    return this.dependencies.values as Record<string, T>;
  }
}
