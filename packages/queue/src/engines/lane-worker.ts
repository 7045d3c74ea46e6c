import { setImmediate, setTimeout as delay } from "node:timers/promises";
import { type BackendFactory, type Job, type JobJson, Worker, type WorkerOptions } from "bullmq";
import { repeatSettings } from "../cron/repeat-strategy.ts";
import type { ThreadLockManager } from "../worker/lock-renewal.ts";
import { takeDeferredEnd } from "./deferred-end.ts";
import { EmbeddedDatabaseError } from "./embedded/errors.ts";
import type { LaneProcessor, LaneWorkerOptions } from "./engine.ts";
import type { BullJob } from "./lane-queue.ts";
import { type Transient, pauseBeforeRepeat } from "./transient.ts";

/** So many jobs are asked for at once at most: each is a command on the engine. */
const askedForAtMost = 16;

/**
 * BullMQ's worker, taught that a job whose end is decided before it starts, as by the cancel flag, still goes to its
 * processor, which ends it as cancelled or failed. Left to itself BullMQ would fail it with a bare message.
 */
export class LaneWorker extends Worker {
  #running = 0;
  /** Whether the lane runs no other job, and stores no other's end. */
  readonly isAlone = (): boolean => this.#running === 1;
  readonly #transient: (error: unknown) => Transient | undefined;
  /** How many jobs were fetched and have not started. */
  #held = 0;
  /** The job that was fetched last is all there is: it is to start before more is asked for. */
  #cameAlone = false;
  #hasJustStarted = false;
  /** How many jobs are asked for at once: more each time that there were so many, since BullMQ asks for one by one. */
  #asking = 1;
  /** What came beyond the one that was asked for; it goes next. */
  readonly #spare: Job[] = [];

  // The connection's type differs per backend; the engine that passes a factory passes the connection that fits it.
  constructor(
    name: string,
    processor: LaneProcessor,
    transient: (error: unknown) => Transient | undefined,
    options: WorkerOptions & LaneWorkerOptions,
    backendFactory?: BackendFactory<never, never>,
  ) {
    super(
      name,
      ((job: BullJob, token?: string) => processor(job, token, this.isAlone)) as never,
      { ...options, settings: repeatSettings },
      backendFactory as never,
    );
    this.#transient = transient;
    this.on("error", () => {}); // BullMQ retries by itself, and TaskWorker tells whoever wants to know.
  }

  /** BullMQ calls this while it constructs the worker. */
  protected override createLockManager(): void {
    const { renewal } = this.opts as LaneWorkerOptions;
    if (renewal === undefined) super.createLockManager();
    else this.lockManager = renewal.managerFor(this);
  }

  /**
   * BullMQ asks for jobs until it has as many as it may run, or none is left, before it starts the first: a job that
   * comes alone would wait for a round trip that finds nothing. Here it starts, and the question follows.
   */
  protected override async moveToActive(
    ...args: Parameters<Worker["moveToActive"]>
  ): ReturnType<Worker["moveToActive"]> {
    if (this.#cameAlone) {
      this.#cameAlone = false;
      return undefined as never;
    }
    if (this.#hasJustStarted) {
      this.#hasJustStarted = false;
      await setImmediate(); // A quick job has ended by then, and its end goes first.
    }
    const job = this.#spare.shift() ?? (await this.#fetch(args));
    this.#cameAlone = this.#held === 1 && this.#running === 0 && job !== undefined;
    return job as Job;
  }

  /** Asks for as many jobs as there were the last time, twice over, and keeps all but the first. */
  async #fetch(args: Parameters<Worker["moveToActive"]>): Promise<Job | undefined> {
    const room = this.concurrency - this.#running - this.#held;
    const count = Math.max(1, Math.min(this.#asking, room));
    const answers = await Promise.allSettled(
      Array.from({ length: count }, () => super.moveToActive(...args)),
    );
    const found = answers.flatMap((answer): Job[] =>
      answer.status === "fulfilled" && answer.value !== undefined ? [answer.value] : [],
    );
    const failed = answers.find((answer) => answer.status === "rejected");
    if (found.length === 0 && failed !== undefined) throw failed.reason;
    this.#asking = found.length === count ? Math.min(count * 2, askedForAtMost) : 1;
    const [first, ...others] = found;
    if (others.length === 0) return first;
    this.#spare.push(...others);
    if (this.isPaused() || this.closing !== undefined) await this.#giveBack();
    // The last answer may have been that there is no more, or not now; what is here goes before BullMQ heeds it.
    else Object.assign(this, { drained: false, limitUntil: 0, blockUntil: 0 });
    return first;
  }

  async #giveBack(): Promise<void> {
    const jobs = this.#spare.splice(0);
    this.#held -= jobs.length;
    await Promise.allSettled(jobs.map((job) => job.moveToWait(job.token)));
  }

  override async pause(...args: Parameters<Worker["pause"]>): Promise<void> {
    await super.pause(...args);
    await this.#giveBack();
  }

  /** BullMQ stops renewing a lock when the processor ends; here it is held until the end is stored, too. */
  override async processJob(...args: Parameters<Worker["processJob"]>): ReturnType<Worker["processJob"]> {
    const [job, token] = args;
    const { renewal } = this.opts as LaneWorkerOptions;
    const manager = renewal === undefined ? undefined : (this.lockManager as ThreadLockManager);
    const slot = manager?.hold(job.id as string, token, job.name);
    this.#hasJustStarted = this.#running++ === 0 && this.#held === 1;
    this.#held--;
    this.#cameAlone = false;
    try {
      return await super.processJob(...args);
    } finally {
      this.#running--;
      if (slot !== undefined) manager?.release(slot);
    }
  }

  protected override handleCompleted(
    result: unknown,
    job: Job,
    token: string,
    ...rest: [fetchNextCallback?: () => boolean]
  ): Promise<Job> {
    return this.#untilStored(job, () => super.handleCompleted(result, job, token, ...rest));
  }

  protected override handleFailed(
    error: Error,
    job: Job,
    token: string,
    ...rest: [fetchNextCallback?: () => boolean]
  ): Promise<Job> {
    const before = job.stacktrace ?? [];
    return this.#untilStored(job, () => {
      job.stacktrace = [...before]; // Each try adds the error to it.
      return super.handleFailed(error, job, token, ...rest);
    });
  }

  /**
   * An end that the engine refuses for now is stored when it accepts it: the work is done, and its lock is held. BullMQ would
   * let go of the job as it is, to run again when the lock lapses, which on the embedded engine takes a day.
   */
  async #untilStored(job: Job, store: () => Promise<Job>): Promise<Job> {
    const { attemptsMade } = job; // Counted up once the end is stored.
    for (let times = 1; ; times++) {
      try {
        return await store();
      } catch (error) {
        const isOver = error instanceof EmbeddedDatabaseError || job.attemptsMade !== attemptsMade;
        if (isOver || this.closing !== undefined || this.#transient(error) === undefined) throw error;
        this.emit("error", error as Error);
      }
      await delay(pauseBeforeRepeat(times));
    }
  }

  protected override createJob(data: JobJson, jobId: string): ReturnType<Worker["createJob"]> {
    const job = super.createJob(data, jobId);
    this.#held++;
    takeDeferredEnd(job);
    return job;
  }
}
