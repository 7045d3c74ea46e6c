import type { JobsOptions } from "bullmq";
import type { JobData } from "../../wire/job-data.ts";
import type { BullJob, LaneJob, NewJob } from "../../contract/lane-queue.ts";

/** Where a job in memory is; the names are BullMQ's. */
export type MemoryState = "waiting" | "delayed" | "active" | "waiting-children" | "completed" | "failed";

/** What a flow's parent waits for, and what its children gave. */
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
  retry(job: MemoryJob): void;
}

/** A job in memory: the part of BullMQ's Job that is used here. Its lane moves it. */
export class MemoryJob implements BullJob, LaneJob {
  readonly id: string;
  readonly name: string;
  readonly opts: JobsOptions;
  readonly timestamp: number;
  /** Its place among the jobs of one priority. */
  sequence: number;
  data: JobData;
  state: MemoryState = "waiting";
  attemptsMade = 0;
  attemptsStarted = 0;
  /** Nobody dies alone in one process. */
  readonly stalledCounter = 0;
  processedOn: number = 0;
  finishedOn?: number;
  /** When it is to be dropped; undefined while it has not ended. */
  keptUntil: number | undefined;
  returnvalue: unknown = null;
  failedReason = "";
  stacktrace: string[] = [];
  deferredFailure?: string;
  /** Who holds it: a worker's token while it runs, a canceller's while it is being ended. */
  token: string | undefined;
  readonly logs: string[] = [];
  readonly dependencies: MemoryDependencies = { pending: new Set(), values: {} };
  /** The parent that waits for it, and under which name it goes there. */
  parent: { readonly job: MemoryJob; readonly key: string } | undefined;
  /** The schedule that made it. */
  schedule: string | undefined;
  readonly #lane: JobMoves;

  progress: BullJob["progress"] = 0;

  constructor(lane: JobMoves, id: string, { name, data, opts }: NewJob, now: number, sequence: number) {
    this.#lane = lane;
    this.id = id;
    this.name = name;
    // As on every other engine, what was submitted is a copy: changing the original later changes nothing.
    this.data = JSON.parse(JSON.stringify(data)) as JobData;
    this.opts = opts;
    this.timestamp = now;
    this.sequence = sequence;
  }

  async log(line: string): Promise<number> {
    return this.logs.push(line);
  }

  async updateProgress(progress: unknown): Promise<void> {
    this.progress = JSON.parse(JSON.stringify(progress)) as object;
  }

  async updateData(data: JobData): Promise<void> {
    this.data = JSON.parse(JSON.stringify(data)) as JobData;
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

  async retry(): Promise<void> {
    this.#lane.retry(this);
  }

  /** Lets a parent run: none of its children is to be waited for any more. */
  release(): void {
    this.#lane.waitLast(this);
  }

  async getChildrenValues<T = unknown>(): Promise<Record<string, T>> {
    return this.dependencies.values as Record<string, T>;
  }
}
