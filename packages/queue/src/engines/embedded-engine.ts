import { resolve } from "node:path";
import { FlowProducer, Queue } from "bullmq";
import { repeatSettings } from "../cron/repeat-strategy.ts";
import { EngineUrlError } from "../errors.ts";
import { EmbeddedDatabaseError } from "./embedded/errors.ts";
import { OpenFolder } from "./embedded/open-folder.ts";
import type { Lane } from "../lane.ts";
import type { JobEnd } from "../retention.ts";
import type {
  CancelAnswer,
  CancelRequest,
  Engine,
  KeptSubmission,
  LaneProcessor,
  LaneWorkerOptions,
  LockTerms,
  SealAnswer,
  StoredJob,
} from "./engine.ts";
import type { FieldLimits, JobRecord, StateOrder, StoredState } from "./job-record.ts";
import type { FlowAdder, LaneConsumer, LaneQueue } from "./lane-queue.ts";
import { LaneWorker } from "./lane-worker.ts";
import type { LocalReplies } from "./local-replies.ts";
import { folderLocks } from "./lock-terms.ts";
import type { ServingWorker } from "./serving.ts";
import { idsIn, queueNames, readRecords, renewAttempts } from "./sql/job-records.ts";
import { dropKept, findKept } from "./sql/kept-submission.ts";
import { LatePool } from "./sql/late-pool.ts";
import { forgetJobs, noteRetention } from "./sql/retention.ts";
import { sqlBackend } from "./sql/sql-backend.ts";
import { sqlTransient } from "./sql/sql-transient.ts";
import type { Transient } from "./transient.ts";
import { countCancelled, lookAtJobs, markCancelled, sealRun } from "./sql/job-table.ts";

/**
 * BullMQ's PostgreSQL backend on PGlite, in this process, on a thread of its own. All engines on a folder share its
 * database; each counts as one user of it, however often it is closed.
 */
export class EmbeddedEngine implements Engine {
  readonly url: string;
  readonly isLocal = false;
  readonly folder: string;
  readonly replies: LocalReplies;
  readonly locks: LockTerms = folderLocks;
  readonly clockOffset = 0;
  readonly #backend = sqlBackend(() => this.connect());
  readonly #shared: OpenFolder;
  #isClosed = false;

  private constructor(shared: OpenFolder) {
    this.#shared = shared;
    this.folder = shared.path;
    this.url = `embedded:${shared.path}`;
    this.replies = shared.replies;
  }

  /** An engine on a folder. The database is closed with the last engine of this process on it. */
  static open(path: string): EmbeddedEngine {
    if (path === "")
      throw new EngineUrlError("embedded: names no folder; use one such as embedded:.taskloom.");
    return new EmbeddedEngine(OpenFolder.use(resolve(path)));
  }

  connect(): Promise<void> {
    return this.#shared.connect();
  }

  /** Tells other processes where this one can be reached, since they cannot open the folder. */
  async setAddress(url: string): Promise<void> {
    await this.connect();
    await this.#shared.setAddress(url);
  }

  warnings(): readonly string[] {
    return [];
  }

  #connectedPool(): NonNullable<OpenFolder["pool"]> {
    const { pool } = this.#shared;
    if (pool === undefined) throw new TypeError("connect() has to end before the engine is used");
    return pool;
  }

  openQueue(name: string): Queue {
    const connection =
      this.#shared.pool ??
      new LatePool(async () => {
        await this.connect();
        return this.#connectedPool();
      });
    const options = { connection, skipMetasUpdate: true, settings: repeatSettings };
    const queue = new Queue(name, options, this.#backend);
    queue.on("error", () => {});
    return queue;
  }

  openLane(name: string): LaneQueue {
    return this.openQueue(name);
  }

  openFlows(): FlowAdder {
    const flows = new FlowProducer({ connection: this.#connectedPool() }, this.#backend);
    flows.on("error", () => {});
    return flows;
  }

  defer(callback: () => void): void {
    process.nextTick(callback);
  }

  openWorker(name: string, processor: LaneProcessor, options: LaneWorkerOptions): LaneConsumer {
    return new LaneWorker(
      name,
      processor,
      transientHere,
      { ...options, connection: this.#connectedPool() },
      this.#backend,
    );
  }

  async cancel(queueName: string, id: string, reason: string): Promise<CancelAnswer> {
    const { answer, run } = await markCancelled(this.#connectedPool(), queueName, id, reason);
    if (run !== undefined) {
      const { workerId, token, attemptsStarted, startedAt } = run;
      this.#shared.cancelListeners.get(workerId)?.({ id, token, attemptsStarted, startedAt, reason });
    }
    return answer;
  }

  seal(queueName: string, id: string, token: string, attemptsStarted: number): Promise<SealAnswer> {
    return sealRun(this.#connectedPool(), queueName, id, token, attemptsStarted);
  }

  onCancelRequest(workerId: string, listener: (request: CancelRequest) => void): () => void {
    this.#shared.cancelListeners.set(workerId, listener);
    return () => this.#shared.cancelListeners.delete(workerId);
  }

  look(queueName: string, ids: readonly string[]): Promise<StoredJob[]> {
    return lookAtJobs(this.#connectedPool(), queueName, ids);
  }

  idsIn(
    queueName: string,
    state: StoredState,
    from: number,
    count: number,
    order: StateOrder,
  ): Promise<string[]> {
    return idsIn(this.#connectedPool(), queueName, state, from, count, order);
  }

  readRecords(
    queueName: string,
    ids: readonly string[],
    limits: FieldLimits,
  ): Promise<(JobRecord | undefined)[]> {
    return readRecords(this.#connectedPool(), queueName, ids, limits);
  }

  renewAttempts(queueName: string, id: string): Promise<void> {
    return renewAttempts(this.#connectedPool(), queueName, id);
  }

  async serve(worker: ServingWorker): Promise<void> {
    this.#shared.serving.serve(worker);
  }

  async stopServing(workerId: string): Promise<void> {
    this.#shared.serving.stop(workerId);
  }

  async serving(): Promise<ServingWorker[]> {
    return this.#shared.serving.all();
  }

  /** Its jobs name it. */
  async noteQueue(): Promise<void> {}

  queueNames(): Promise<string[]> {
    return queueNames(this.#connectedPool());
  }

  async claimLane(queue: string, lane: Lane, ids: readonly string[]): Promise<ReadonlySet<string>> {
    return this.#shared.laneClaims.claim(queue, lane, ids, this.now());
  }

  findKept(queueName: string, key: string): Promise<KeptSubmission | undefined> {
    return findKept(this.#connectedPool(), queueName, key);
  }

  dropKept(queueName: string, key: string, id: string): Promise<boolean> {
    return dropKept(this.#connectedPool(), queueName, key, id);
  }

  noteEnd(queueName: string, end: JobEnd): void {
    // A process that dies right now leaves the job with the default; see keptForCertain.
    noteRetention(this.#connectedPool(), queueName, end).catch(() => {});
  }

  forget(queueName: string, now: number = this.now()): Promise<void> {
    return forgetJobs(this.#connectedPool(), queueName, now);
  }

  countCancelled(queueName: string): Promise<number> {
    return countCancelled(this.#connectedPool(), queueName);
  }

  now(): number {
    return Date.now();
  }

  transient(error: unknown): Transient | undefined {
    return transientHere(error);
  }

  downFor(): number {
    const { brokenAt } = this.#shared;
    return brokenAt === undefined ? 0 : performance.now() - brokenAt;
  }

  onBroken(listener: (error: Error) => void): () => void {
    this.#shared.brokenListeners.add(listener);
    return () => this.#shared.brokenListeners.delete(listener);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#shared.release();
  }
}

/** A database that has stopped, or was closed, does not come back in this process. */
function transientHere(error: unknown): Transient | undefined {
  return error instanceof EmbeddedDatabaseError ? undefined : sqlTransient(error);
}
