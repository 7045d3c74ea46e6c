import { setImmediate, setTimeout as delay } from "node:timers/promises";
import { Job, Worker } from "bullmq";
import type { BackendFactory, ConnectionOptions, JobJson, RedisQueueBackend, WorkerOptions } from "bullmq";
import { repeatSettings } from "../cron/repeat-strategy.ts";
import type { HeldLocks } from "../contract/lock-holder.ts";
import { takeDeferredEnd, unreadableFailure } from "./deferred-end.ts";
import type { LaneProcessor, WorkerLane, LaneWorkerOptions } from "../contract/engine-worker.ts";
import type { BullJob } from "../contract/lane-queue.ts";
import { pauseBeforeRepeat, untilAnswered } from "../contract/transient.ts";
import type { Transient } from "../contract/transient.ts";

/** How many jobs are requested at once; each is a command for the engine. */
const MAX_REQUESTED = 16;
/**
 * The time for which an idle worker leaves a due job to other workers, in milliseconds: a job that it has put back itself,
 * and any other job for a while after it has put one back. A worker that knows all tasks never waits.
 */
const LEFT_TO_OTHERS_MS = { own: 100, any: 40 };
/** The time for which a put-back is remembered. */
const PUT_BACK_MEMORY_MS = 5_000;
/** BullMQ's pause after a refused connection, which is added to the pauses of {@link LaneWorker.delay}. */
const REFUSED_PAUSE_MS = 500;
/** The time for which a closing worker tries to store ends that the engine refuses. */
const CLOSING_STORE_MS = 2_000;

/**
 * BullMQ's worker, which passes a job to its processor even if the job's end is decided before its start, as by the cancel
 * flag. The processor ends the job as cancelled or failed; BullMQ alone would fail it with a bare message.
 */
export class LaneWorker extends Worker implements WorkerLane {
  #running = 0;
  readonly #transient: (error: unknown) => Transient | undefined;
  /** The number of jobs that were fetched and have not started. */
  #held = 0;
  /** Whether the job that was fetched last is the only one. It starts before more jobs are requested. */
  #cameAlone = false;
  #hasJustStarted = false;
  /** The number of jobs that are requested at once. It grows while all requests find a job; BullMQ requests one by one. */
  #asking = 1;
  /** The jobs beyond the one that BullMQ requested. They are next. */
  readonly #spare: Job[] = [];
  /** The number of requests for jobs in a row that the engine did not answer. */
  #failures = 0;
  /** Whether the last request found no job. */
  #isIdle = false;
  /** The times at which jobs are due that this worker has put back. */
  #leftToOthers: number[] = [];
  /** Whether the worker waits for a new job. Spare jobs that it fetched meanwhile would lie idle. */
  #isWaiting = false;
  /** Whether the worker woke because a job was due, and not because a job was added. */
  #wokeWhenDue = false;
  /** Whether the worker is closed and no longer tries to store ends that the engine refuses. */
  #gaveUp = false;

  // The type of the connection depends on the backend; an engine passes a factory with the connection that fits it.
  constructor(
    name: string,
    processor: LaneProcessor,
    transient: (error: unknown) => Transient | undefined,
    options: WorkerOptions & LaneWorkerOptions,
    backendFactory?: BackendFactory<RedisQueueBackend, ConnectionOptions>,
  ) {
    super(
      name,
      ((job: BullJob, token?: string) => processor(job, token, this)) as never,
      { runRetryDelay: REFUSED_PAUSE_MS, ...options, settings: repeatSettings },
      backendFactory as never,
    );
    this.#transient = transient;
    const wait = this.backend.waitForJob.bind(this.backend);
    this.backend.waitForJob = async (...args) => {
      // Another answer may have said that there are no more jobs, but spare ones are here.
      if (this.#spare.length > 0) return { member: "", score: 0 };
      this.#isWaiting = true;
      const added = await wait(...args).finally(() => (this.#isWaiting = false));
      this.#wokeWhenDue = added === null;
      return added;
    };
    this.on("error", () => {}); // BullMQ retries by itself, and TaskWorker notifies its listener.
  }

  isAlone(): boolean {
    return this.#running === 1;
  }

  leaveToOthers(time: number): void {
    const now = Date.now();
    this.#leftToOthers = this.#leftToOthers.filter((due) => due + PUT_BACK_MEMORY_MS > now);
    this.#leftToOthers.push(time);
  }

  /** BullMQ calls this while it constructs the worker. */
  protected override createLockManager(): void {
    const { renewal } = this.opts as LaneWorkerOptions;
    if (renewal === undefined) super.createLockManager();
    else this.lockManager = renewal.managerFor(this);
  }

  /**
   * BullMQ requests jobs until it has as many as it may run, or none is left, and then starts the first one. A job that comes
   * alone would wait for a round trip that finds nothing. Here it starts first, and the request follows.
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
      await setImmediate(); // A quick job has ended by then, and its end is sent first.
    }
    const job = this.#spare.shift() ?? (await this.#fetch(args));
    this.#cameAlone = this.#held === 1 && this.#running === 0 && job !== undefined;
    return job!;
  }

  /** Requests twice as many jobs as the last time if all of those were found, and keeps all but the first. */
  async #fetch(args: Parameters<Worker["moveToActive"]>): Promise<Job | undefined> {
    if (this.#isIdle) await this.#leaveDueJobs();
    const room = this.concurrency - this.#running - this.#held;
    const count = this.#isWaiting ? 1 : Math.max(1, Math.min(this.#asking, room));
    const answers = await Promise.allSettled(
      Array.from({ length: count }, () => super.moveToActive(...args)),
    );
    const found = answers.flatMap((answer): Job[] =>
      answer.status === "fulfilled" && answer.value !== undefined ? [answer.value] : [],
    );
    const failed = answers.find((answer) => answer.status === "rejected");
    if (found.length === 0 && failed !== undefined) {
      if (this.#transient(failed.reason) !== undefined && this.closing === undefined) await this.delay();
      throw failed.reason;
    }
    this.#failures = 0;
    this.#isIdle = found.length === 0;
    this.#asking = found.length === count ? Math.min(count * 2, MAX_REQUESTED) : 1;
    const [first, ...others] = found;
    if (others.length === 0) return first;
    this.#spare.push(...others);
    if (this.isPaused() || this.closing !== undefined || this.#isWaiting) await this.#handBack();
    // The last answer may have been that there is no more job for now. The spare jobs go first.
    else Object.assign(this, { drained: false, limitUntil: 0, blockUntil: 0 });
    return first;
  }

  /**
   * Waits for a moment if a job is due that this worker may have put back. All idle workers wake at that time, and a worker
   * that does not know the task would be as quick as one that does.
   */
  async #leaveDueJobs(): Promise<void> {
    const now = Date.now();
    const recent = this.#leftToOthers.filter((due) => due + PUT_BACK_MEMORY_MS > now);
    if (recent.length === 0 || !this.#wokeWhenDue) return;
    const isOwn = recent.some((due) => due <= now + 1 && due + LEFT_TO_OTHERS_MS.own > now);
    await delay(isOwn ? LEFT_TO_OTHERS_MS.own : LEFT_TO_OTHERS_MS.any);
  }

  /** The pauses grow. BullMQ itself repeats after 100 ms, and sometimes at once, however long the engine does not answer. */
  override async delay(...[milliseconds, abort]: Parameters<Worker["delay"]>): Promise<void> {
    await super.delay(milliseconds ?? pauseBeforeRepeat(++this.#failures), abort);
  }

  async #handBack(): Promise<void> {
    const jobs = this.#spare.splice(0);
    this.#held -= jobs.length;
    // The last job is handed back first, because Redis puts each in front of all waiting jobs.
    await Promise.allSettled(jobs.toReversed().map((job) => job.moveToWait(job.token)));
  }

  override async pause(...args: Parameters<Worker["pause"]>): Promise<void> {
    await super.pause(...args);
    await this.#handBack();
  }

  override async close(force?: boolean): Promise<void> {
    global.setTimeout(() => (this.#gaveUp = true), force === true ? 0 : CLOSING_STORE_MS).unref();
    await super.close(force);
  }

  /**
   * Returns whether a fetched job has lost its lock before its start. Locks are renewed from the start on, and the process
   * was stopped for longer than a lock lasts. Another worker may run the job by now, so it is not started here; otherwise the
   * next check for lapsed locks recovers it.
   */
  #hasLapsed({ processedOn }: Job): boolean {
    const { lockDuration } = this.opts;
    return (
      processedOn !== undefined && lockDuration !== undefined && Date.now() - processedOn >= lockDuration
    );
  }

  #heldLocks(): HeldLocks | undefined {
    return "hold" in this.lockManager ? (this.lockManager as HeldLocks) : undefined;
  }

  /** BullMQ renews a lock until the processor ends. Here the lock is renewed until the end is stored. */
  override async processJob(...args: Parameters<Worker["processJob"]>): ReturnType<Worker["processJob"]> {
    const [job, token] = args;
    const manager = this.#heldLocks();
    const slot = manager?.hold(job.id!, token, job.name);
    this.#hasJustStarted = this.#running++ === 0 && this.#held === 1;
    this.#held--;
    this.#cameAlone = false;
    try {
      if (this.#hasLapsed(job)) return undefined;
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
    return this.#untilStored(job, undefined, () => super.handleCompleted(result, job, token, ...rest));
  }

  protected override handleFailed(
    error: Error,
    job: Job,
    token: string,
    ...rest: [fetchNextCallback?: () => boolean]
  ): Promise<Job> {
    const before = job.stacktrace ?? [];
    return this.#untilStored(job, error, () => {
      job.stacktrace = [...before]; // Each call adds the error to it.
      return super.handleFailed(error, job, token, ...rest);
    });
  }

  /**
   * Stores an end, and repeats that until the engine has it, under the job's lock. For a transient error of the engine BullMQ
   * would fail a job that completed, or drop the job, which would run again when its lock lapses.
   */
  async #untilStored(job: Job, error: Error | undefined, store: () => Promise<Job>): Promise<Job> {
    const { attemptsMade } = job; // Counted up once the end is stored.
    let mayBeStored = false;
    for (let times = 1; ; times++) {
      // After a lost answer the stored state is read first. BullMQ uses tokens again: if this worker has the next attempt of
      // the job by now, a repeated end would fit its lock, and end the wrong run.
      if (mayBeStored && (await this.#wasStored(job, error))) return undefined as never;
      try {
        return await store();
      } catch (refusal) {
        if (job.attemptsMade !== attemptsMade) throw refusal; // A listener threw it.
        if (this.#transient(refusal) === undefined) {
          if (times > 1 && (await this.#wasStored(job, error))) return undefined as never;
          throw refusal;
        }
        mayBeStored ||= this.#transient(refusal) === "cut";
        this.emit("error", refusal instanceof Error ? refusal : new Error(String(refusal)));
        // The error is not thrown, because BullMQ would store it as the job's failure.
        if (this.#gaveUp) return undefined as never;
      }
      await delay(pauseBeforeRepeat(times));
    }
  }

  /**
   * Returns whether an earlier command, whose answer was lost, has stored an end that the engine refuses now. If so, the
   * listeners are notified as if the answer had come.
   */
  async #wasStored(job: Job, error: Error | undefined): Promise<boolean> {
    const engine = { transient: this.#transient };
    const stored = await untilAnswered(
      engine,
      () => Job.fromId(this as never, job.id!),
      () => !this.#gaveUp,
    ).catch(() => undefined);
    if (stored === undefined || stored.attemptsMade <= job.attemptsMade) return false;
    const { finishedOn, returnvalue, attemptsStarted } = stored;
    const wasStartedAgain = attemptsStarted !== job.attemptsStarted;
    // A completed job is not retried. A failed one may have been, by this worker or another, and may have ended since.
    if (wasStartedAgain && error === undefined) return false;
    const hasEnded = finishedOn !== undefined && !wasStartedAgain;
    const attemptsMade = job.attemptsMade + 1;
    Object.assign(job, { attemptsMade, ...(hasEnded ? { finishedOn, returnvalue } : {}) });
    if (hasEnded && returnvalue !== null) this.emit("completed", job, returnvalue, "active");
    else this.emit("failed", job, error ?? new Error(stored.failedReason), "active");
    return true;
  }

  protected override async nextJobFromJobData(
    ...args: Parameters<Worker["nextJobFromJobData"]>
  ): ReturnType<Worker["nextJobFromJobData"]> {
    const job = await super.nextJobFromJobData(...args);
    // BullMQ drops a schedule's job if it cannot store the next run. The job is taken again when its lock has lapsed.
    if (job === undefined && args[0] != null) this.#held--;
    return job;
  }

  /** Passes a job whose data is not an object to its processor, too, which fails it. BullMQ would hold the job for ever. */
  #readable(data: JobJson, jobId: string): ReturnType<Worker["createJob"]> {
    let job: ReturnType<Worker["createJob"]>;
    let fault: string | undefined;
    try {
      job = super.createJob(data, jobId);
      if (typeof job.data !== "object" || job.data === null || Array.isArray(job.data))
        fault = "its data is not an object";
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      job = super.createJob({ ...data, data: "{}" }, jobId);
      fault = "its data is not JSON";
    }
    if (fault === undefined) return job;
    job.data = {};
    job.deferredFailure = unreadableFailure(fault);
    return job;
  }

  protected override createJob(data: JobJson, jobId: string): ReturnType<Worker["createJob"]> {
    const job = this.#readable(data, jobId);
    this.#held++;
    takeDeferredEnd(job);
    return job;
  }
}
